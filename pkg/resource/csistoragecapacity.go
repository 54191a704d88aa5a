package resource

import (
	"time"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// csiStorageCapacities are how much of a class of storage there is in some part of the cluster.
func csiStorageCapacities() *Row {
	return Row{
		Resource: "csistoragecapacities", Singular: "csistoragecapacity", Kind: "CSIStorageCapacity",
		Namespaced: true,
		Versions: []Version{
			servedAs[storagev1.CSIStorageCapacity, storagev1.CSIStorageCapacityList](storagev1.SchemeGroupVersion),
		},
		Prefix: "csistoragecapacities",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, createdAtColumn,
		},
	}.with(rules(Rules[*storagev1.CSIStorageCapacity]{
		Validate:       func(c *storagev1.CSIStorageCapacity) field.ErrorList { return validateStorageCapacity(c, false) },
		ValidateUpdate: validateStorageCapacityUpdate,
		Warnings: func(next, _ *storagev1.CSIStorageCapacity) []string {
			var w warnings
			w.nodeTopology(next.NodeTopology, newPlace("nodeTopology"))
			return w.all
		},
		Cells: func(c *storagev1.CSIStorageCapacity, _ time.Time) []any { return []any{c.Name, createdAt(c)} },
	}))
}

// nodeTopology warns of labels of nodes that have another name now.
func (w *warnings) nodeTopology(s *metav1.LabelSelector, path *place) {
	if s == nil {
		return
	}
	for i, e := range s.MatchExpressions {
		w.oldKey(e.Key, path.Child("matchExpressions").Index(i).Child("key"))
	}
	for k := range sorted(s.MatchLabels) {
		m, old := oldNodeLabels[k]
		w.addIf(old, path.Child("matchLabels", k), "%s", m)
	}
}

func validateStorageCapacity(c *storagev1.CSIStorageCapacity, loosely bool) field.ErrorList {
	options := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: loosely}
	errs := join(
		validateMeta(c, true, subdomainName),
		metavalidation.ValidateLabelSelector(c.NodeTopology, options, newPlace("nodeTopology").path()),
		dnsSubdomain(c.StorageClassName, newPlace("storageClassName")),
	)
	if q := c.Capacity; q != nil && q.Sign() < 0 {
		errs = append(errs, invalidAt(newPlace("capacity"), q.String(), "must be greater than or equal to 0"))
	}
	return errs
}

// validateStorageCapacityUpdate keeps what the driver was asked; only its answer may change.
func validateStorageCapacityUpdate(next, old *storagev1.CSIStorageCapacity) field.ErrorList {
	strict := metavalidation.LabelSelectorValidationOptions{}
	wasLoose := len(metavalidation.ValidateLabelSelector(old.NodeTopology, strict, nil)) > 0
	return join(
		validateStorageCapacity(next, wasLoose),
		immutable(next.NodeTopology, old.NodeTopology, newPlace("nodeTopology")),
		immutable(next.StorageClassName, old.StorageClassName, newPlace("storageClassName")),
	)
}
