package resource

import (
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// enforceMountableSecrets is an annotation of the past that people should hear about.
const enforceMountableSecrets = "kubernetes.io/enforce-mountable-secrets"

func serviceAccounts() *Row {
	return Row{
		Resource: "serviceaccounts", Singular: "serviceaccount", Kind: "ServiceAccount",
		ShortNames:          []string{"sa"},
		Namespaced:          true,
		Versions:            []Version{servedAs[corev1.ServiceAccount, corev1.ServiceAccountList](corev1.SchemeGroupVersion)},
		Prefix:              "serviceaccounts",
		Columns:             []metav1.TableColumnDefinition{nameColumn, ageColumn},
		DeleteReturnsObject: true,
		Subresources: []Subresource{{
			Name: "token", Kind: "TokenRequest", GroupVersion: authenticationv1.SchemeGroupVersion, Verbs: []string{"create"},
		}},
	}.with(rules(Rules[*corev1.ServiceAccount]{
		PrepareCreate:  keepSecretNames,
		PrepareUpdate:  func(next, _ *corev1.ServiceAccount) { keepSecretNames(next) },
		Validate:       validateServiceAccount,
		ValidateUpdate: validateServiceAccountUpdate,
		Warnings:       serviceAccountWarnings,
		Cells: func(s *corev1.ServiceAccount, now time.Time) []any {
			return []any{s.Name, age(s, now)}
		},
	}))
}

// keepSecretNames drops all but the names of the secrets that an account refers to: they are its own namespace's.
func keepSecretNames(s *corev1.ServiceAccount) {
	for i := range s.Secrets {
		s.Secrets[i] = corev1.ObjectReference{Name: s.Secrets[i].Name}
	}
}

func validateServiceAccount(s *corev1.ServiceAccount) field.ErrorList {
	return validateMeta(s, true, apivalidation.ValidateServiceAccountName)
}

func validateServiceAccountUpdate(next, old *corev1.ServiceAccount) field.ErrorList {
	return join(validateMetaUpdate(next, old), validateServiceAccount(next))
}

// serviceAccountWarnings warns when the annotation is first set, not at every later write.
func serviceAccountWarnings(next, old *corev1.ServiceAccount) []string {
	_, has := next.Annotations[enforceMountableSecrets]
	if old != nil {
		if _, had := old.Annotations[enforceMountableSecrets]; had {
			return nil
		}
	}
	if !has {
		return nil
	}
	return []string{fmt.Sprintf(
		"metadata.annotations[%s]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
		enforceMountableSecrets)}
}
