package policy

import (
	"context"
	"log/slog"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/judge"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/resource"
	"bonsai/pkg/resource/expression"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	apicel "k8s.io/apiserver/pkg/cel"
)

// Config is what policies are evaluated with.
type Config struct {
	// Source is where they come from.
	Source live.Source
	// Get reads namespaces and parameters.
	Get admission.Getter
	// Authorizer is what expressions may ask.
	Authorizer auth.Authorizer
	// Custom reads parameters of kinds that are defined by users.
	Custom CustomGetter
	// Kinds finds the kinds of parameters.
	Kinds func(schema.GroupVersionKind) (*resource.Row, *resource.Version, bool)
	// Types has the schemas by which configurations are applied; nil for kinds without.
	Types func(schema.GroupVersionKind) managedfields.TypeConverter
	// Counts is where it is counted what policies have said; nil if nobody wants to know.
	Counts *meter.Set
	Logger *slog.Logger
}

// CustomGetter reads objects of kinds that have no place in the table, by their row.
type CustomGetter interface {
	GetCustom(ctx context.Context, row *resource.Row, namespace, name string) (resource.Object, error)
	ListCustom(ctx context.Context, row *resource.Row, namespace string) ([]resource.Object, error)
}

// New returns the two plugins.
func New(c Config) (mutating, validating admission.Plugin) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	counts := newMetrics(c.Counts)
	m := &Mutating{Config: c, metrics: counts}
	m.hooks = follow(c.Source, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", timed(counts, compileMutating), readMutatingBinding)
	v := &Validating{Config: c, metrics: counts}
	v.hooks = follow(c.Source, "validatingadmissionpolicies", "validatingadmissionpolicybindings", timed(counts, compileValidating), readValidatingBinding)
	return m, v
}

// common is what both kinds of policies have.
type common struct {
	name       string
	scope      judge.Scope
	failOpen   bool
	paramKind  *admissionv1.ParamKind
	conditions judge.Conditions
	variables  []judge.Variable
	types      *apicel.DeclType
}

// binding is one place where a policy holds.
type binding struct {
	name, policy string
	scope        judge.Scope
	ref          *admissionv1.ParamRef
	actions      []admissionv1.ValidationAction
}

// hook is a policy with its bindings.
type hook[C any] struct {
	policy   C
	bindings []*binding
}

// follow returns a function that returns all policies that are bound. Each is compiled once for each of its versions.
func follow[P, B resource.Object, C any](src live.Source, policies, bindings string, compile func(P) C, read func(B) *binding) func() []hook[C] {
	ps := live.Follow[P](src, schema.GroupResource{Group: admissionv1.GroupName, Resource: policies})
	bs := live.Follow[B](src, schema.GroupResource{Group: admissionv1.GroupName, Resource: bindings})
	var compiled map[string]C
	return live.Derive(func() []hook[C] {
		byPolicy := map[string][]*binding{}
		for _, b := range bs.All() {
			read := read(b)
			byPolicy[read.policy] = append(byPolicy[read.policy], read)
		}
		var hooks []hook[C]
		next := map[string]C{}
		for _, p := range ps.All() {
			if len(byPolicy[p.GetName()]) == 0 {
				continue
			}
			key := string(p.GetUID()) + "/" + p.GetResourceVersion()
			c, ok := compiled[key]
			if !ok {
				c = compile(p)
			}
			next[key] = c
			hooks = append(hooks, hook[C]{c, byPolicy[p.GetName()]})
		}
		compiled = next
		return hooks
	}, ps, bs)
}

// compileCommon also returns the compiler for the policy's other expressions, and what these see.
func compileCommon(name string, kind *admissionv1.ParamKind, match *admissionv1.MatchResources, failure *admissionv1.FailurePolicyType,
	conditions []admissionv1.MatchCondition, variables []admissionv1.Variable) (common, *expression.Compiler, expression.Sees) {
	compiler := expression.New(true)
	sees := expression.Sees{Params: kind != nil, Authorizer: true}
	c := common{name: name, scope: judge.PolicyScope(match), paramKind: kind,
		failOpen: failure != nil && *failure == admissionv1.Ignore, types: compiler.VariablesType()}
	for _, v := range variables {
		c.variables = append(c.variables, judge.Variable{Name: v.Name, Value: compiler.Declare(v.Name, expression.Expression{
			Text: v.Expression, Sees: sees, Returns: expression.Anything, Stored: true})})
	}
	c.conditions = judge.Compile(compiler, conditions, sees, failure)
	return c, compiler, sees
}

func (c *common) declare(r *judge.Run) { r.Declare(c.types, c.variables) }

func readValidatingBinding(b *admissionv1.ValidatingAdmissionPolicyBinding) *binding {
	return &binding{name: b.Name, policy: b.Spec.PolicyName, scope: judge.PolicyScope(b.Spec.MatchResources),
		ref: b.Spec.ParamRef, actions: b.Spec.ValidationActions}
}

func readMutatingBinding(b *admissionv1.MutatingAdmissionPolicyBinding) *binding {
	return &binding{name: b.Name, policy: b.Spec.PolicyName, scope: judge.PolicyScope(b.Spec.MatchResources), ref: b.Spec.ParamRef}
}

// input is what the policy's expressions are evaluated over.
func (c *Config) input(a *admission.Attributes, form admission.Form, params runtime.Object) judge.Input {
	return judge.Input{Attributes: a, Form: form, Params: params, Authorizer: c.Authorizer}
}

// namespace returns the request's; a namespace itself is in none.
func (c *Config) namespace(ctx context.Context, a *admission.Attributes) (*corev1.Namespace, error) {
	if a.Namespace == "" || a.Row.Resource == "namespaces" && a.Row.Group() == "" {
		return nil, nil
	}
	obj, err := c.Get.Get(ctx, schema.GroupResource{Resource: "namespaces"}, "", a.Namespace)
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Namespace), nil
}
