package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const longestIngressController = 250

func ingressClasses() *Row {
	return Row{
		Resource: "ingressclasses", Singular: "ingressclass", Kind: "IngressClass",
		Versions: []Version{servedAs[networkingv1.IngressClass, networkingv1.IngressClassList](networkingv1.SchemeGroupVersion)},
		Prefix:   "ingressclasses",
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Controller", "Controller that is responsible for handling this class"),
			column("Parameters", "A reference to a resource with additional parameters"),
			ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*networkingv1.IngressClass]{
		Default: func(c *networkingv1.IngressClass) {
			if p := c.Spec.Parameters; p != nil {
				orPtr(&p.Scope, networkingv1.IngressClassParametersReferenceScopeCluster)
			}
		},
		PrepareCreate: func(c *networkingv1.IngressClass) { c.Generation = 1 },
		PrepareUpdate: func(next, old *networkingv1.IngressClass) { raiseGeneration(next, old, !same(next.Spec, old.Spec)) },
		Validate:      validateIngressClass,
		ValidateUpdate: func(next, old *networkingv1.IngressClass) field.ErrorList {
			return join(
				validateMetaUpdate(next, old),
				immutable(next.Spec.Controller, old.Spec.Controller, atSpec.Child("controller")),
				validateIngressClass(next),
			)
		},
		Cells: ingressClassCells,
	}))
}

func ingressClassCells(c *networkingv1.IngressClass, now time.Time) []any {
	name, parameters := c.Name, "<none>"
	if c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
		name += " (default)"
	}
	if p := c.Spec.Parameters; p != nil {
		parameters = p.Kind
		if p.APIGroup != nil {
			parameters += "." + *p.APIGroup
		}
		parameters += "/" + p.Name
	}
	return []any{name, c.Spec.Controller, parameters, age(c, now)}
}

func validateIngressClass(c *networkingv1.IngressClass) field.ErrorList {
	controller := atSpec.Child("controller")
	return join(
		validateMeta(c, false, subdomainName),
		when(len(c.Spec.Controller) > longestIngressController, tooLongAt(controller, "", longestIngressController)),
		validation.IsDomainPrefixedPath(controller.path(), c.Spec.Controller),
		given(c.Spec.Parameters, atSpec.Child("parameters"), validateClassParameters),
	)
}

func validateClassParameters(p *networkingv1.IngressClassParametersReference, path *place) field.ErrorList {
	const cluster, namespace = networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace
	errs := objectRef(&corev1.TypedLocalObjectReference{APIGroup: p.APIGroup, Kind: p.Kind, Name: p.Name}, declaredSegment, path)
	if p.Scope == nil {
		return append(errs, requiredAt(path.Child("scope"), ""))
	}
	switch at, scope := path.Child("namespace"), *p.Scope; {
	case scope != cluster && scope != namespace:
		return append(errs, notSupportedAt(path.Child("scope"), scope, []string{cluster, namespace}))
	case scope == cluster:
		return append(errs, when(p.Namespace != nil, forbiddenAt(at, "`parameters.scope` is set to 'Cluster'"))...)
	case p.Namespace == nil:
		return append(errs, requiredAt(at, "`parameters.scope` is set to 'Namespace'"))
	default:
		return append(errs, invalid(at, *p.Namespace, apivalidation.ValidateNamespaceName(*p.Namespace, false))...)
	}
}
