package resource

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validate"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resourceSliceSpec validates a slice; old is nil at create.
func resourceSliceSpec(s, old *resourcev1.ResourceSliceSpec) field.ErrorList {
	errs := join(
		driverName(s.Driver, atSpec.Child("driver")),
		poolName(s.Pool.Name, atSpec.Child("pool", "name")),
		when(s.Pool.ResourceSliceCount <= 0,
			invalidAt(atSpec.Child("pool", "resourceSliceCount"), s.Pool.ResourceSliceCount, "must be greater than zero")),
		when(s.Pool.Generation < 0,
			invalidAt(atSpec.Child("pool", "generation"), s.Pool.Generation, "must be greater than or equal to zero")),
	)
	before := map[string]*resourcev1.Device{}
	if old != nil {
		errs = append(errs, join(
			immutable(s.Pool.Name, old.Pool.Name, atSpec.Child("pool", "name")),
			immutable(s.Driver, old.Driver, atSpec.Child("driver")),
			immutable(s.NodeName, old.NodeName, atSpec.Child("nodeName")),
		)...)
		for i := range old.Devices {
			before[old.Devices[i].Name] = &old.Devices[i]
		}
	}
	return join(errs,
		sliceNodes(s),
		when(s.SharedCounters != nil && s.Devices != nil, invalidAt(atSpec, "", "only one of `sharedCounters` or `devices` is allowed")),
		sliceDevices(s, before, atSpec.Child("devices")),
		declaredList(s.SharedCounters, resourcev1.ResourceSliceMaxCounterSets, atSpec.Child("sharedCounters"),
			func(c *resourcev1.CounterSet) string { return c.Name },
			func(c *resourcev1.CounterSet, path *place) field.ErrorList {
				return join(
					declaredPresent(c.Name, path.Child("name"), validate.ShortName),
					counters(c.Counters, resourcev1.ResourceSliceMaxCountersPerCounterSet, path.Child("counters")),
				)
			}),
	)
}

// nodeChoice is the one of several ways to say which nodes reach devices.
type nodeChoice struct {
	path *place
	set  []string
	errs field.ErrorList
}

func (c *nodeChoice) name(n *string, complaint string) {
	if n == nil {
		return
	}
	at := c.path.Child("nodeName")
	if *n == "" {
		c.errs = append(c.errs, invalidAt(at, *n, complaint))
		return
	}
	c.set = append(c.set, "`nodeName`")
	c.errs = append(c.errs, dnsSubdomain(*n, at)...)
}

func (c *nodeChoice) selector(s *corev1.NodeSelector) {
	if s == nil {
		return
	}
	c.set = append(c.set, "`nodeSelector`")
	c.errs = append(c.errs, nodeSelector(s, c.path.Child("nodeSelector"))...)
}

func (c *nodeChoice) flag(b *bool, name string) {
	switch {
	case b == nil:
	case *b:
		c.set = append(c.set, "`"+name+"`")
	default:
		c.errs = append(c.errs, invalidAt(c.path.Child(name), *b, "must be either unset or set to true"))
	}
}

// one wants exactly one way.
func (c *nodeChoice) one(none, many string) field.ErrorList {
	switch len(c.set) {
	case 0:
		return append(c.errs, requiredAt(c.path, none))
	case 1:
		return c.errs
	}
	return append(c.errs, invalidAt(c.path, fmt.Sprintf("{%s}", strings.Join(c.set, ", ")), many))
}

func sliceNodes(s *resourcev1.ResourceSliceSpec) field.ErrorList {
	c := nodeChoice{path: atSpec}
	c.name(s.NodeName, "must be either unset or set to a non-empty string")
	c.selector(s.NodeSelector)
	if s.NodeSelector != nil && len(s.NodeSelector.NodeSelectorTerms) != 1 {
		c.errs = append(c.errs, invalidAt(atSpec.Child("nodeSelector", "nodeSelectorTerms"), s.NodeSelector.NodeSelectorTerms,
			"must have exactly one node selector term"))
	}
	c.flag(s.AllNodes, "allNodes")
	c.flag(s.PerDeviceNodeSelection, "perDeviceNodeSelection")
	const one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
	return c.one(one, one+", but multiple fields are set")
}

func deviceNodes(d *resourcev1.Device, perDevice bool, path *place) field.ErrorList {
	if !perDevice {
		return when(d.NodeName != nil || d.NodeSelector != nil || d.AllNodes != nil, invalidAt[any](path, nil,
			"`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"))
	}
	c := nodeChoice{path: path}
	c.name(d.NodeName, "must not be empty")
	c.selector(d.NodeSelector)
	c.flag(d.AllNodes, "allNodes")
	const one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
	return c.one(one, one)
}

// sliceDevices validates the devices, of which there may be fewer where one needs more thought.
func sliceDevices(s *resourcev1.ResourceSliceSpec, before map[string]*resourcev1.Device, path *place) field.ErrorList {
	most := resourcev1.ResourceSliceMaxDevices
	for i := range s.Devices {
		if len(s.Devices[i].Taints) > 0 || len(s.Devices[i].ConsumesCounters) > 0 {
			most = resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
		}
	}
	if len(s.Devices) > most {
		return field.ErrorList{tooManyAt(path, len(s.Devices), most)}
	}
	seen := taken{}
	errs := each(s.Devices, path, func(d *resourcev1.Device, path *place) field.ErrorList {
		return device(d, before[d.Name], isTrue(s.PerDeviceNodeSelection), path)
	})
	return append(errs, each(s.Devices, path, func(d *resourcev1.Device, path *place) field.ErrorList {
		return when(!seen.claim(d.Name), duplicateAt(path, d.Name))
	})...)
}

func device(d, old *resourcev1.Device, perDevice bool, path *place) field.ErrorList {
	const most = resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice
	errs := dnsLabel(d.Name, path.Child("name"))
	if n := len(d.Attributes) + len(d.Capacity); n > most {
		errs = append(errs, invalidAt(path, n, fmt.Sprintf("the total number of attributes and capacities must not exceed %d", most)))
	}
	for name, a := range sorted(d.Attributes) {
		at := path.Child("attributes")
		errs = append(errs, join(deviceQualifiedName(string(name), at), deviceAttribute(&a, at, string(name)))...)
	}
	for name, c := range sorted(d.Capacity) {
		at := path.Child("capacity")
		errs = append(errs, join(deviceQualifiedName(string(name), at), deviceCapacity(&c, isTrue(d.AllowMultipleAllocations), at.Key(shortened(string(name)))))...)
	}
	errs = append(errs,
		declaredList(d.ConsumesCounters, resourcev1.ResourceSliceMaxDeviceCounterConsumptionsPerDevice, path.Child("consumesCounters"),
			func(c *resourcev1.DeviceCounterConsumption) string { return c.CounterSet },
			func(c *resourcev1.DeviceCounterConsumption, path *place) field.ErrorList {
				return join(
					declaredPresent(c.CounterSet, path.Child("counterSet"), validate.ShortName),
					counters(c.Counters, resourcev1.ResourceSliceMaxCountersPerDeviceCounterConsumption, path.Child("counters")),
				)
			})...)
	if old == nil || !same(old.Taints, d.Taints) {
		errs = append(errs, deviceTaints(d.Taints, path.Child("taints"))...)
	}
	return join(errs,
		deviceNodes(d, perDevice, path),
		bindingConditions(d.BindingConditions, d.BindingFailureConditions, path),
	)
}

func counters(c map[string]resourcev1.Counter, most int, path *place) field.ErrorList {
	if len(c) == 0 {
		return declared(field.ErrorList{requiredAt(path, "")})
	}
	if len(c) > most {
		return field.ErrorList{tooManyAt(path, len(c), most)}
	}
	var errs field.ErrorList
	for name := range sorted(c) {
		errs = append(errs, declaredFormat(name, path, validate.ShortName)...)
	}
	return errs
}

// semver is a version by semver.org 2.0.0.
var semver = regexp.MustCompile(`^(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}` +
	`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?` +
	`(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)

// deviceAttribute is told of by its name, of which a long one is shortened, except by what is declared: so that, of a long one, the same
// is told in two ways.
func deviceAttribute(a *resourcev1.DeviceAttribute, all *place, name string) field.ErrorList {
	path := all.Key(shortened(name))
	var set []string
	for _, v := range []struct {
		name string
		is   bool
	}{{"int", a.IntValue != nil}, {"bool", a.BoolValue != nil}, {"string", a.StringValue != nil}, {"version", a.VersionValue != nil}} {
		if v.is {
			set = append(set, v.name)
		}
	}
	const kinds = "`int`, `bool`, `string`, `version`, `ints`, `bools`, `strings`, `versions`"
	short := func(s *string, path *place) field.ErrorList {
		return when(len(*s) > resourcev1.DeviceAttributeMaxValueLength, tooLongAt(path, "", resourcev1.DeviceAttributeMaxValueLength))
	}
	return join(
		given(a.StringValue, path.Child("string"), short),
		given(a.VersionValue, path.Child("version"), func(s *string, path *place) field.ErrorList {
			wrong := when(!semver.MatchString(*s), invalidAt(path, *s, "must be a string compatible with semver.org spec 2.0.0"))
			return append(wrong, short(s, path)...)
		}),
		when(len(set) == 0 && shortened(name) != name, invalidAt(path, "", "exactly one value must be specified")),
		declared(when(len(set) == 0, invalidAt(all.Key(name), "", "must specify one of: "+kinds))),
		declared(when(len(set) > 1, invalidAt(all.Key(name), "{"+strings.Join(set, ", ")+"}", "must specify exactly one of: "+kinds))),
	)
}

// deviceQualifiedName is a C identifier, with a domain and a slash before it or not. More slashes are let through, as upstream does.
func deviceQualifiedName(name string, path *place) field.ErrorList {
	switch parts := strings.Split(name, "/"); len(parts) {
	case 1:
		return cIdentifier(name, path)
	case 2:
		domain := when(parts[0] == "", invalidAt(path, "", "the domain must not be empty"))
		if parts[0] != "" {
			domain = driverName(parts[0], path)
		}
		id := when(parts[1] == "", invalidAt(path, "", "the name must not be empty"))
		if parts[1] != "" {
			id = cIdentifier(parts[1], path)
		}
		return join(domain, id)
	}
	return nil
}

func cIdentifier(id string, path *place) field.ErrorList {
	long := when(len(id) > resourcev1.DeviceMaxIDLength, tooLongAt(path, "", resourcev1.DeviceMaxIDLength))
	return append(long, invalid(path, id, content.IsCIdentifier(id))...)
}

// shortened is a key that may be shown.
func shortened(key string) string {
	const most, dots = resourcev1.DeviceMaxDomainLength + 1 + resourcev1.DeviceMaxIDLength, "..."
	if len(key) <= most {
		return key
	}
	room := most - len(dots)
	return key[:(room+1)/2] + dots + key[len(key)-room/2:]
}

func deviceTaints(taints []resourcev1.DeviceTaint, path *place) field.ErrorList {
	if most := resourcev1.DeviceTaintsMaxLength; len(taints) > most {
		return field.ErrorList{tooManyAt(path, len(taints), most)}
	}
	return each(taints, path, func(t *resourcev1.DeviceTaint, path *place) field.ErrorList { return deviceTaint(t, "", path) })
}

// deviceTaint lets an effect stay that was there, even if nobody knows it any more.
func deviceTaint(t *resourcev1.DeviceTaint, was resourcev1.DeviceTaintEffect, path *place) field.ErrorList {
	errs := join(labelKey(t.Key, path.Child("key")), invalid(path.Child("value"), t.Value, labelValueProblems(t.Value)))
	switch at := path.Child("effect"); {
	case t.Effect == "":
		return append(errs, declared(field.ErrorList{requiredAt(at, "")})...)
	case t.Effect != was:
		return append(errs, deviceTaintEffect(t.Effect, at)...)
	}
	return errs
}

func deviceTaintRule(s *resourcev1.DeviceTaintRuleSpec, was resourcev1.DeviceTaintEffect) field.ErrorList {
	return join(
		given(s.DeviceSelector, atSpec.Child("deviceSelector"), func(d *resourcev1.DeviceTaintSelector, path *place) field.ErrorList {
			text := func(check func(string, *place) field.ErrorList) func(*string, *place) field.ErrorList {
				return func(s *string, path *place) field.ErrorList { return check(*s, path) }
			}
			return join(
				given(d.Driver, path.Child("driver"), text(driverName)),
				given(d.Pool, path.Child("pool"), text(poolName)),
				given(d.Device, path.Child("device"), text(dnsLabel)),
			)
		}),
		deviceTaint(&s.Taint, was, atSpec.Child("taint")),
	)
}

func validateTaintRuleStatus(next, old *resourcev1.DeviceTaintRule) field.ErrorList {
	conditions, at, most := next.Status.Conditions, atStatus.Child("conditions"), resourcev1.DeviceTaintRuleStatusMaxConditions
	return join(
		validateMetaUpdate(next, old),
		metavalidation.ValidateConditions(conditions, at.path()),
		when(len(conditions) > most, tooManyAt(at, len(conditions), most)),
	)
}
