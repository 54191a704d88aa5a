package resource

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bonsai/pkg/resource/definition"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func customResourceDefinitions() *Row {
	return Row{
		Resource: "customresourcedefinitions", Singular: "customresourcedefinition", Kind: "CustomResourceDefinition",
		ShortNames: []string{"crd", "crds"}, Categories: []string{"api-extensions"},
		Versions: []Version{servedAs[apiextensionsv1.CustomResourceDefinition, apiextensionsv1.CustomResourceDefinitionList](apiextensionsv1.SchemeGroupVersion)},
		Prefix:   "apiextensions.k8s.io/customresourcedefinitions",
		Kept:     apiextensionsv1beta1.SchemeGroupVersion,
		InJSON:   definitionInJSON(),
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Scope", "Cluster/Namespaced"),
			column("Versions", "Served versions"),
			{Name: "Created At", Type: "date", Description: metaDoc["creationTimestamp"]},
			wide("Group", "API group"),
			wide("Kind", "CustomResource kind"),
			wide("ShortNames", "Short names"),
			{Name: "Established", Type: "boolean", Description: "Established status", Priority: 1},
		},
	}.with(rules(Rules[*apiextensionsv1.CustomResourceDefinition]{
		Default: func(d *apiextensionsv1.CustomResourceDefinition) {
			definition.Default(d)
			normalizeDefinition(d)
		},
		PrepareCreate:  prepareDefinition,
		PrepareUpdate:  prepareDefinitionUpdate,
		Validate:       definition.Validate,
		ValidateUpdate: definition.ValidateUpdate,
		Warnings:       definition.Warnings,
		Cells:          definitionCells,
		PrepareStatus:  prepareDefinitionStatus,
		ValidateStatus: definition.ValidateStatus,
		PrepareDelete:  markDefinition,
		// The first delete of a definition only marks it: its objects have to go before it.
		Held: func(d *apiextensionsv1.CustomResourceDefinition) bool { return d.DeletionTimestamp == nil },
	}))
}

func prepareDefinition(d *apiextensionsv1.CustomResourceDefinition) {
	d.Status = apiextensionsv1.CustomResourceDefinitionStatus{}
	d.Generation = 1
	noteStoredVersion(d)
}

func prepareDefinitionUpdate(next, old *apiextensionsv1.CustomResourceDefinition) {
	next.Status = *old.Status.DeepCopy()
	raiseGeneration(next, old, !same(next.Spec, old.Spec))
	noteStoredVersion(next)
}

// noteStoredVersion remembers every version that objects may be stored in, until somebody has migrated them and says so. A definition
// that marks several is refused later; until then the first counts.
func noteStoredVersion(d *apiextensionsv1.CustomResourceDefinition) {
	stored := slices.IndexFunc(d.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Storage })
	if stored >= 0 && !slices.Contains(d.Status.StoredVersions, d.Spec.Versions[stored].Name) {
		d.Status.StoredVersions = append(d.Status.StoredVersions, d.Spec.Versions[stored].Name)
	}
}

// prepareDefinitionStatus keeps the spec. The metadata may change with the status, which controllers rely on to let go of a definition.
func prepareDefinitionStatus(next, old *apiextensionsv1.CustomResourceDefinition) {
	next.Spec = *old.Spec.DeepCopy()
}

// markDefinition has a deleted definition wait till its objects are gone.
func markDefinition(d *apiextensionsv1.CustomResourceDefinition) {
	if !slices.Contains(d.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer) {
		d.Finalizers = append(d.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer)
	}
	c := apiextensionsv1.CustomResourceDefinitionCondition{
		Type: apiextensionsv1.Terminating, Status: apiextensionsv1.ConditionTrue, Reason: "InstanceDeletionPending",
		Message:            "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
		LastTransitionTime: *cmp.Or(d.DeletionTimestamp, &metav1.Time{}),
	}
	d.Status.Conditions = slices.DeleteFunc(d.Status.Conditions, func(old apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return old.Type == c.Type
	})
	d.Status.Conditions = append(d.Status.Conditions, c)
}

func definitionCells(d *apiextensionsv1.CustomResourceDefinition, _ time.Time) []any {
	var versions []string
	for _, v := range d.Spec.Versions {
		switch {
		case v.Served && v.Storage:
			versions = append(versions, v.Name+"(storage)")
		case v.Served:
			versions = append(versions, v.Name)
		}
	}
	slices.Sort(versions)
	established := slices.ContainsFunc(d.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
	return []any{
		d.Name, string(d.Spec.Scope), strings.Join(versions, ","), d.CreationTimestamp.UTC().Format(time.RFC3339),
		d.Spec.Group, d.Spec.Names.Kind, strings.Join(d.Spec.Names.ShortNames, ","), established,
	}
}
