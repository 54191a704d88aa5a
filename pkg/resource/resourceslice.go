package resource

import (
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	resourcev1beta2 "k8s.io/api/resource/v1beta2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resourceSlices are what drivers have to give: some or all devices of a pool.
func resourceSlices() *Row {
	return Row{
		Resource: "resourceslices", Singular: "resourceslice", Kind: "ResourceSlice",
		Versions: []Version{servedAs[resourcev1.ResourceSlice, resourcev1.ResourceSliceList](resourcev1.SchemeGroupVersion)},
		Prefix:   "resourceslices",
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Node", resourcev1.ResourceSliceSpec{}.SwaggerDoc()["nodeName"]),
			column("Driver", resourcev1.ResourceSliceSpec{}.SwaggerDoc()["driver"]),
			column("Pool", resourcev1.ResourcePool{}.SwaggerDoc()["name"]),
			ageColumn,
		},
		DeleteReturnsObject: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*resourcev1.ResourceSlice]{
		PrepareCreate: func(s *resourcev1.ResourceSlice) {
			s.Generation = 1
			withoutAlphaDevices(&s.Spec)
		},
		PrepareUpdate: func(next, old *resourcev1.ResourceSlice) {
			withoutAlphaDevices(&next.Spec)
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Sign:       func(s *resourcev1.ResourceSlice, by Signature) { timeDeviceTaints(s, by.Now) },
		SignUpdate: func(next, _ *resourcev1.ResourceSlice, by Signature) { timeDeviceTaints(next, by.Now) },
		Validate: func(s *resourcev1.ResourceSlice) field.ErrorList {
			return declaredLast(join(validateMeta(s, false, subdomainName), resourceSliceSpec(&s.Spec, nil)))
		},
		ValidateUpdate: func(next, old *resourcev1.ResourceSlice) field.ErrorList {
			return declaredLast(join(validateMetaUpdate(next, old), resourceSliceSpec(&next.Spec, &old.Spec)))
		},
		Fields: func(s *resourcev1.ResourceSlice) map[string]string {
			return map[string]string{
				resourcev1.ResourceSliceSelectorNodeName: sliceNode(s),
				resourcev1.ResourceSliceSelectorDriver:   s.Spec.Driver,
				resourcev1.ResourceSliceSelectorPoolName: s.Spec.Pool.Name,
			}
		},
		Cells: func(s *resourcev1.ResourceSlice, now time.Time) []any {
			return []any{s.Name, sliceNode(s), s.Spec.Driver, s.Spec.Pool.Name, age(s, now)}
		},
	}))
}

func sliceNode(s *resourcev1.ResourceSlice) string {
	if s.Spec.NodeName == nil {
		return ""
	}
	return *s.Spec.NodeName
}

func timeDeviceTaints(s *resourcev1.ResourceSlice, now metav1.Time) {
	for i := range s.Spec.Devices {
		for j := range s.Spec.Devices[i].Taints {
			orPtr(&s.Spec.Devices[i].Taints[j].TimeAdded, now)
		}
	}
}

// withoutAlphaDevices drops what belongs to features that are off in v1.37: DRAPartitionableDevicesType,
// DRAOptionalNodeOperations, DRANodeAllocatableResources, DRADeviceCompatibilityGroups and DRAListTypeAttributes.
func withoutAlphaDevices(s *resourcev1.ResourceSliceSpec) {
	s.PartitionTypeAttribute, s.SkipNodeOperations = nil, nil
	for i := range s.Devices {
		d := &s.Devices[i]
		d.NodeAllocatableResources = nil
		for j := range d.ConsumesCounters {
			d.ConsumesCounters[j].CompatibilityGroups = nil
		}
		for name, a := range d.Attributes {
			a.IntValues, a.BoolValues, a.StringValues, a.VersionValues = nil, nil, nil, nil
			d.Attributes[name] = a
		}
	}
}

// deviceTaintRules taint devices whose drivers know nothing of it.
func deviceTaintRules() *Row {
	return Row{
		Resource: "devicetaintrules", Singular: "devicetaintrule", Kind: "DeviceTaintRule",
		Versions: []Version{servedAs[resourcev1.DeviceTaintRule, resourcev1.DeviceTaintRuleList](resourcev1.SchemeGroupVersion)},
		Prefix:   "devicetaintrules",
		Kept:     resourcev1beta2.SchemeGroupVersion,
		Columns:  taintRuleColumns(), UnconditionalUpdate: true,
	}.with(rules(Rules[*resourcev1.DeviceTaintRule]{
		PrepareCreate: func(r *resourcev1.DeviceTaintRule) {
			r.Status, r.Generation = resourcev1.DeviceTaintRuleStatus{}, 1
		},
		PrepareUpdate: func(next, old *resourcev1.DeviceTaintRule) {
			next.Status = *old.Status.DeepCopy()
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Sign: func(r *resourcev1.DeviceTaintRule, by Signature) { orPtr(&r.Spec.Taint.TimeAdded, by.Now) },
		SignUpdate: func(next, old *resourcev1.DeviceTaintRule, by Signature) {
			taint, was := &next.Spec.Taint, &old.Spec.Taint
			orPtr(&taint.TimeAdded, by.Now)
			if taint.Effect != was.Effect && same(taint.TimeAdded, was.TimeAdded) {
				taint.TimeAdded = &by.Now
			}
		},
		Validate: func(r *resourcev1.DeviceTaintRule) field.ErrorList {
			return declaredLast(join(validateMeta(r, false, subdomainName), deviceTaintRule(&r.Spec, "")))
		},
		ValidateUpdate: func(next, old *resourcev1.DeviceTaintRule) field.ErrorList {
			return declaredLast(join(validateMetaUpdate(next, old), deviceTaintRule(&next.Spec, old.Spec.Taint.Effect)))
		},
		Cells: taintRuleCells,
		PrepareStatus: func(next, old *resourcev1.DeviceTaintRule) {
			next.Spec = *old.Spec.DeepCopy()
			metav1.ResetObjectMetaForStatus(next, old)
		},
		ValidateStatus: validateTaintRuleStatus,
	}))
}

func taintRuleColumns() []metav1.TableColumnDefinition {
	taint := resourcev1.DeviceTaint{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("Key", taint["key"]),
		column("Value", taint["value"]),
		column("Effect", taint["effect"]),
		column("TimeAdded", taint["timeAdded"]),
		ageColumn,
	}
}

func taintRuleCells(r *resourcev1.DeviceTaintRule, now time.Time) []any {
	taint, added := &r.Spec.Taint, ""
	if taint.TimeAdded != nil {
		added = since(*taint.TimeAdded, now)
	}
	return []any{r.Name, taint.Key, taint.Value, string(taint.Effect), added, age(r, now)}
}
