package resource

import (
	"time"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// csiNodes are what the drivers on each node say of it. The status, which tells their health, can be
// written to and holds nothing in v1.37.
func csiNodes() *Row {
	return Row{
		Resource: "csinodes", Singular: "csinode", Kind: "CSINode",
		Versions: []Version{servedAs[storagev1.CSINode, storagev1.CSINodeList](storagev1.SchemeGroupVersion)},
		Prefix:   "csinodes",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, integer(column("Drivers", "Drivers indicates the number of CSI drivers registered on the node")), ageColumn,
		},
		DeleteReturnsObject: true,
	}.with(rules(Rules[*storagev1.CSINode]{
		Default:       defaultCSINode,
		PrepareCreate: func(n *storagev1.CSINode) { n.Status = storagev1.CSINodeStatus{} },
		PrepareUpdate: func(next, old *storagev1.CSINode) { next.Status = *old.Status.DeepCopy() },
		Validate:      validateCSINode,
		ValidateUpdate: func(next, old *storagev1.CSINode) field.ErrorList {
			return join(validateCSINode(next), changedDrivers(next, old))
		},
		PrepareStatus: func(next, old *storagev1.CSINode) {
			next.Spec = old.Spec
			next.Status.StorageHealth = nil
			metav1.ResetObjectMetaForStatus(next, old)
		},
		ValidateStatus: func(next, old *storagev1.CSINode) field.ErrorList { return validateMetaUpdate(next, old) },
		Cells: func(n *storagev1.CSINode, now time.Time) []any {
			return []any{n.Name, int64(len(n.Spec.Drivers)), age(n, now)}
		},
	}))
}

func defaultCSINode(n *storagev1.CSINode) {
	noneIfEmpty(&n.Spec.Drivers)
	for i := range n.Spec.Drivers {
		noneIfEmpty(&n.Spec.Drivers[i].TopologyKeys)
	}
}

// maxNodeID is the longest name that a driver may have for a node.
const maxNodeID = 256

func validateCSINode(n *storagev1.CSINode) field.ErrorList {
	seen := taken{}
	return join(
		validateMeta(n, false, subdomainName),
		each(n.Spec.Drivers, newPlace("spec", "drivers"), func(d *storagev1.CSINodeDriver, path *place) field.ErrorList {
			id := path.Child("nodeID")
			errs := join(
				driverName(d.Name, path.Child("name")),
				present(d.NodeID, id),
				when(len(d.NodeID) > maxNodeID, invalidAt(id, d.NodeID, "must be 256 characters or less")),
			)
			if a := d.Allocatable; a != nil && a.Count != nil {
				errs = append(errs, nonNegative(int64(*a.Count), path.Child("allocatable", "count"))...)
			}
			errs = append(errs, when(!seen.claim(d.Name), duplicateAt(path.Child("name"), d.Name))...)
			return append(errs, topologyKeys(d.TopologyKeys, path)...)
		}),
	)
}

func topologyKeys(keys []string, path *place) field.ErrorList {
	var errs field.ErrorList
	seen := taken{}
	for _, k := range keys {
		errs = join(errs,
			when(k == "", requiredAt(path, "")),
			when(!seen.claim(k), duplicateAt(path, k)),
			qualifiedName(k, path))
	}
	return errs
}

// changedDrivers refuses a change of a driver that stays: how many volumes it can have is the one thing that changes.
func changedDrivers(next, old *storagev1.CSINode) field.ErrorList {
	var errs field.ErrorList
	for _, was := range old.Spec.Drivers {
		for _, is := range next.Spec.Drivers {
			if is.Name == was.Name {
				is.Allocatable, was.Allocatable = nil, nil
				errs = append(errs, bareImmutable(&is, &was, newPlace("spec", "drivers"))...)
			}
		}
	}
	return errs
}
