package resource

import (
	"reflect"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the six kinds of admissionregistration.k8s.io have in common: which requests they are about, and, for policies, which
// objects they take their parameters from.

// staticSuffix ends the names that upstream keeps for configuration by files, which is not served here either.
const staticSuffix = ".static.k8s.io"

// staticNameWarnings warn of a name that a server with such files will not have.
func staticNameWarnings(obj Object) []string {
	if !strings.HasSuffix(obj.GetName(), staticSuffix) {
		return nil
	}
	return []string{`metadata.name: names ending with "` + staticSuffix +
		`" are reserved for static manifest-based configurations and cannot be managed via the API`}
}

func defaultRule(r *admissionv1.Rule) { orPtr(&r.Scope, admissionv1.AllScopes) }

func defaultMatchResources(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	orPtr(&m.MatchPolicy, admissionv1.Equivalent)
	orPtr(&m.NamespaceSelector, metav1.LabelSelector{})
	orPtr(&m.ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			defaultRule(&rules[i].Rule)
		}
	}
}

// The columns.

// webhookConfigurations completes the row of one of the two kinds, of which hooks shows the webhooks.
func webhookConfigurations[T Object](r Row, setDefaults func(T), hooks func(T) []admissionv1.MutatingWebhook) *Row {
	r.Categories = []string{"api-extensions"}
	r.Columns = []metav1.TableColumnDefinition{
		nameColumn, integer(column("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration")), ageColumn,
	}
	return r.with(rules(Rules[T]{
		Default:        setDefaults,
		PrepareCreate:  func(c T) { c.SetGeneration(1) },
		PrepareUpdate:  func(next, old T) { raiseGeneration(next, old, !reflect.DeepEqual(hooks(next), hooks(old))) },
		Validate:       func(c T) field.ErrorList { return validateWebhooks(c, hooks(c), nil) },
		ValidateUpdate: func(next, old T) field.ErrorList { return validateWebhooks(next, hooks(next), hooks(old)) },
		Warnings:       func(next, _ T) []string { return staticNameWarnings(next) },
		Cells:          func(c T, now time.Time) []any { return []any{c.GetName(), int64(len(hooks(c))), age(c, now)} },
	}))
}

func defaultWebhookRules(service *admissionv1.ServiceReference, rules []admissionv1.RuleWithOperations) {
	if service != nil {
		orPtr(&service.Port, 443)
	}
	for i := range rules {
		defaultRule(&rules[i].Rule)
	}
}

func policyColumns(what, description string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn, integer(column(what, description)),
		column("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy"), ageColumn,
	}
}

func policyCells(obj Object, count int, kind *admissionv1.ParamKind, now time.Time) []any {
	text := "<unset>"
	if kind != nil {
		text = kind.APIVersion + "/" + kind.Kind
	}
	return []any{obj.GetName(), int64(count), text, age(obj, now)}
}

func policyBindingColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
		column("ParamRef", "ParamRef indicates the param resource which sets the configuration param"), ageColumn,
	}
}

func policyBindingCells(obj Object, policy string, ref *admissionv1.ParamRef, now time.Time) []any {
	return []any{obj.GetName(), policy, paramRefText(ref), age(obj, now)}
}

func paramRefText(ref *admissionv1.ParamRef) string {
	switch {
	case ref == nil, ref.Name == "" && ref.Selector == nil:
		return "<unset>"
	case ref.Name == "":
		return ref.Selector.String()
	case ref.Namespace != "":
		return ref.Namespace + "/" + ref.Name
	}
	return "*/" + ref.Name // it may have no namespace, which cannot be told from here
}
