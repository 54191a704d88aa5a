package resource

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func namespaces() *Row {
	return Row{
		Resource: "namespaces", Singular: "namespace", Kind: "Namespace",
		ShortNames: []string{"ns"},
		Versions:   []Version{servedAs[corev1.Namespace, corev1.NamespaceList](corev1.SchemeGroupVersion)},
		Prefix:     "namespaces",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Status", "The status of the namespace"), ageColumn,
		},
		UnconditionalUpdate: true,
		// Deleting all namespaces at once is not offered.
		Verbs: []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		Subresources: []Subresource{{
			Name: "finalize", Kind: "Namespace", GroupVersion: corev1.SchemeGroupVersion, Verbs: []string{"update"},
			Update: &Status{Prepare: two(prepareNamespaceFinalize), Validate: twoErrs(validateNamespaceFinalize)},
		}},
	}.with(rules(Rules[*corev1.Namespace]{
		Default:       defaultNamespace,
		PrepareCreate: prepareNamespace,
		PrepareUpdate: prepareNamespaceUpdate,
		Validate:      validateNamespace,
		ValidateUpdate: func(next, old *corev1.Namespace) field.ErrorList {
			return append(validateNamespace(next), validateMetaUpdate(next, old)...)
		},
		PrepareStatus:  func(next, old *corev1.Namespace) { next.Spec = old.Spec },
		ValidateStatus: validateNamespaceStatus,
		PrepareDelete:  func(n *corev1.Namespace) { n.Status.Phase = corev1.NamespaceTerminating },
		Held:           func(n *corev1.Namespace) bool { return len(n.Spec.Finalizers) > 0 },
		Fields: func(n *corev1.Namespace) map[string]string {
			// "name" is what clients of long ago select by.
			return map[string]string{"status.phase": string(n.Status.Phase), "name": n.Name}
		},
		Cells: func(n *corev1.Namespace, now time.Time) []any {
			return []any{n.Name, string(n.Status.Phase), age(n, now)}
		},
	}))
}

// defaultNamespace gives every namespace its name as a label, so that selectors of namespaces can pick single ones.
func defaultNamespace(n *corev1.Namespace) {
	if n.Name != "" {
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		n.Labels[corev1.LabelMetadataName] = n.Name
	}
	or(&n.Status.Phase, corev1.NamespaceActive)
}

// prepareNamespace adds the finalizer that keeps a deleted namespace until its content is gone.
func prepareNamespace(n *corev1.Namespace) {
	n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
		n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
	// The name may have been generated after the defaults were set.
	defaultNamespace(n)
}

func prepareNamespaceUpdate(next, old *corev1.Namespace) {
	next.Spec.Finalizers = old.Spec.Finalizers
	next.Status = old.Status
}

func prepareNamespaceFinalize(next, old *corev1.Namespace) { next.Status = old.Status }

func validateNamespace(n *corev1.Namespace) field.ErrorList {
	errs := validateMeta(n, false, apivalidation.ValidateNamespaceName)
	for _, f := range n.Spec.Finalizers {
		errs = append(errs, namespaceFinalizer(f, newPlace("spec", "finalizers"))...)
	}
	return errs
}

func validateNamespaceStatus(next, old *corev1.Namespace) field.ErrorList {
	errs := validateMetaUpdate(next, old)
	phase, path := next.Status.Phase, newPlace("status", "Phase")
	switch deleted := !next.DeletionTimestamp.IsZero(); {
	case !deleted && phase != corev1.NamespaceActive:
		errs = append(errs, invalidAt(path, phase, "may only be 'Active' if `deletionTimestamp` is empty"))
	case deleted && phase != corev1.NamespaceTerminating:
		errs = append(errs, invalidAt(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
	}
	return errs
}

func validateNamespaceFinalize(next, old *corev1.Namespace) field.ErrorList {
	errs := validateMetaUpdate(next, old)
	for i, f := range next.Spec.Finalizers {
		errs = append(errs, namespaceFinalizer(f, newPlace("spec", "finalizers").Index(i))...)
	}
	return errs
}

// namespaceFinalizer validates one of spec.finalizers: a standard name, or one with a domain.
func namespaceFinalizer(f corev1.FinalizerName, path *place) field.ErrorList {
	return append(apivalidation.ValidateFinalizerName(string(f), path.path()), standardFinalizer(string(f), path)...)
}
