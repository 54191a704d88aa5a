package resource

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resourceQuotas say what all of a namespace together may ask for.
func resourceQuotas() *Row {
	return Row{
		Resource: "resourcequotas", Singular: "resourcequota", Kind: "ResourceQuota",
		ShortNames: []string{"quota"},
		Namespaced: true,
		Versions:   []Version{servedAs[corev1.ResourceQuota, corev1.ResourceQuotaList](corev1.SchemeGroupVersion)},
		Prefix:     "resourcequotas",
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
			column("Limit", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
			ageColumn,
		},
		UnconditionalUpdate: true, DeleteReturnsObject: true,
	}.with(rules(Rules[*corev1.ResourceQuota]{
		Default:        defaultResourceQuota,
		PrepareCreate:  func(q *corev1.ResourceQuota) { q.Status = corev1.ResourceQuotaStatus{} },
		PrepareUpdate:  func(next, old *corev1.ResourceQuota) { next.Status = *old.Status.DeepCopy() },
		Validate:       validateResourceQuota,
		ValidateUpdate: validateResourceQuotaUpdate,
		Cells:          resourceQuotaCells,
		PrepareStatus:  func(next, old *corev1.ResourceQuota) { next.Spec = *old.Spec.DeepCopy() },
		ValidateStatus: validateResourceQuotaStatusUpdate,
	}))
}

func defaultResourceQuota(q *corev1.ResourceQuota) {
	roundUp(q.Spec.Hard)
	roundUp(q.Status.Hard)
	roundUp(q.Status.Used)
}

// resourceQuotaCells tell limits apart from the rest by their names: limits.cpu.
func resourceQuotaCells(q *corev1.ResourceQuota, now time.Time) []any {
	var requests, limits []string
	for name, hard := range sorted(q.Status.Hard) {
		used := q.Status.Used[name]
		text := fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String())
		if strings.HasPrefix(string(name), "limits.") {
			limits = append(limits, text)
		} else {
			requests = append(requests, text)
		}
	}
	return []any{q.Name, strings.Join(requests, ", "), strings.Join(limits, ", "), age(q, now)}
}

func validateResourceQuota(q *corev1.ResourceQuota) field.ErrorList {
	return join(
		validateMeta(q, true, subdomainName),
		validateQuotaSpec(&q.Spec, atSpec),
		validateQuotaStatus(&q.Status, atStatus),
	)
}

func validateResourceQuotaUpdate(next, old *corev1.ResourceQuota) field.ErrorList {
	changed := len(scopesOnlyIn(next.Spec.Scopes, old.Spec.Scopes)) > 0 || len(scopesOnlyIn(old.Spec.Scopes, next.Spec.Scopes)) > 0
	return join(
		validateMetaUpdate(next, old),
		validateQuotaSpec(&next.Spec, atSpec),
		when(changed, invalidAt(atSpec.Child("scopes"), next.Spec.Scopes, apivalidation.FieldImmutableErrorMsg)),
	)
}

func scopesOnlyIn(a, b []corev1.ResourceQuotaScope) []corev1.ResourceQuotaScope {
	return slices.DeleteFunc(slices.Clone(a), func(s corev1.ResourceQuotaScope) bool { return slices.Contains(b, s) })
}

func validateResourceQuotaStatusUpdate(next, old *corev1.ResourceQuota) field.ErrorList {
	return join(validateMetaUpdate(next, old), validateQuotaStatus(&next.Status, atStatus))
}

func validateQuotaStatus(s *corev1.ResourceQuotaStatus, path *place) field.ErrorList {
	return join(quotaResources(s.Hard, path.Child("hard")), quotaResources(s.Used, path.Child("used")))
}

func validateQuotaSpec(s *corev1.ResourceQuotaSpec, path *place) field.ErrorList {
	errs := join(quotaResources(s.Hard, path.Child("hard")), quotaScopes(s, path.Child("scopes")))
	if s.ScopeSelector != nil {
		errs = append(errs, quotaScopeSelector(s, path.Child("scopeSelector", "matchExpressions"))...)
	}
	return errs
}

func quotaResources(list corev1.ResourceList, path *place) field.ErrorList {
	var errs field.ErrorList
	for name, q := range sorted(list) {
		at := path.Key(string(name))
		errs = join(errs, quotaResourceName(name, at), quantityFor(name, q, at))
	}
	return errs
}

func quotaResourceName(name corev1.ResourceName, path *place) field.ErrorList {
	foreign := !strings.Contains(string(name), "/") && !isStandardQuota(name)
	return append(resourceName(name, path), when(foreign, invalidAt(path, name, "must be a standard resource for quota"))...)
}

// isStandardQuota is whether quotas count name without being told more: all that the API counts, but storage itself.
func isStandardQuota(name corev1.ResourceName) bool {
	huge := isHugePages(name) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
	return huge || name != corev1.ResourceStorage && slices.Contains(standardResources, name)
}
