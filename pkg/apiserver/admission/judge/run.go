package judge

import (
	"context"
	"errors"
	"fmt"
	"math"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource/expression"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	apicel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/lazy"
	"k8s.io/apiserver/pkg/cel/library"
)

// Input is what expressions are evaluated over.
type Input struct {
	Attributes *admission.Attributes
	Form       admission.Form
	// Params is what the binding names; nil if nothing.
	Params     runtime.Object
	Namespace  *corev1.Namespace
	Authorizer auth.Authorizer
	// Plain makes of objects what JSON would make of them, so that an expression can put parts of them into a patch.
	Plain bool
}

// Variable is a part of a policy that its expressions may name.
type Variable struct {
	Name  string
	Value expression.Compiled
}

// Run evaluates expressions of one request. It must not be used concurrently.
type Run struct {
	ctx    context.Context
	in     Input
	budget int64
	// spent is what variables have cost since it was last counted: they are evaluated amid the expression that names them.
	spent  int64
	values map[string]any
	lazies ref.Val
}

// NewRun returns a run whose expressions may cost no more than budget in all.
func NewRun(ctx context.Context, in Input, budget int64) *Run {
	return &Run{ctx: ctx, in: in, budget: budget, values: map[string]any{}}
}

// Budget is what is left.
func (r *Run) Budget() int64 { return r.budget }

// WithBudget lets the same variables be used with another budget.
func (r *Run) WithBudget(budget int64) *Run {
	r.budget = budget
	return r
}

// Declare binds the variables of a policy: each is evaluated when it is first named.
func (r *Run) Declare(t *apicel.DeclType, variables []Variable) {
	m := lazy.NewMapValue(t)
	for _, v := range variables {
		m.Append(v.Name, func(*lazy.MapValue) ref.Val { return r.variable(v) })
	}
	r.lazies = m
}

func (r *Run) variable(v Variable) ref.Val {
	if v.Value.Error != nil {
		return types.NewErr("composited variable %q fails to compile: %v", v.Name, v.Value.Error)
	}
	out, details, err := v.Value.Program.ContextEval(r.ctx, r)
	cost, known := costOf(details)
	if !known {
		return types.NewErr("unable to calculate cost of variable %q", v.Name)
	}
	r.spent += cost
	if err != nil {
		return types.NewErr("composited variable %q fails to evaluate: %v", v.Name, err)
	}
	return out
}

// costOf reads what an evaluation has cost.
func costOf(d *cel.EvalDetails) (int64, bool) {
	if d == nil {
		return 0, false
	}
	cost := d.ActualCost()
	if cost == nil {
		return 0, false
	}
	return int64(min(*cost, math.MaxInt64)), true
}

// stop is an error after which no further expression of the run is evaluated.
type stop struct{ cause *apicel.Error }

func (s stop) Error() string { return s.cause.Error() }
func (s stop) Unwrap() error { return s.cause }

// Stopped tells whether err ends the whole run.
func Stopped(err error) bool { return errors.As(err, new(stop)) }

// Eval returns the value of an expression.
func (r *Run) Eval(c expression.Compiled) (ref.Val, error) {
	if c.Error != nil {
		return nil, &apicel.Error{Type: apicel.ErrorTypeInvalid, Detail: fmt.Sprintf("compilation error: %v", c.Error), Cause: c.Error}
	}
	out, details, err := c.Program.ContextEval(r.ctx, r)
	cost, known := costOf(details)
	if !known {
		return nil, stop{&apicel.Error{Type: apicel.ErrorTypeInternal, Detail: fmt.Sprintf(
			"runtime cost could not be calculated for expression: %v, no further expression will be run", c.Text)}}
	}
	cost, r.spent = cost+r.spent, 0
	if cost < 0 || cost > r.budget {
		return nil, stop{&apicel.Error{Type: apicel.ErrorTypeInvalid, Cause: apicel.ErrOutOfBudget,
			Detail: "validation failed due to running out of cost budget, no further validation rules will be run"}}
	}
	r.budget -= cost
	if err != nil {
		return nil, &apicel.Error{Type: apicel.ErrorTypeInvalid, Detail: fmt.Sprintf("expression '%v' resulted in error: %v", c.Text, err)}
	}
	return out, nil
}

// Parent makes a Run the activation of its own programs.
func (r *Run) Parent() cel.Activation { return nil }

// ResolveName returns the value of a variable.
func (r *Run) ResolveName(name string) (any, bool) {
	if v, ok := r.values[name]; ok {
		return v, true
	}
	v, ok := r.resolve(name)
	if ok {
		r.values[name] = v
	}
	return v, ok
}

func (r *Run) resolve(name string) (any, bool) {
	a := r.in.Attributes
	switch name {
	case expression.Object:
		return r.object(a.Object), true
	case expression.OldObject:
		return r.object(a.Old), true
	case expression.Params:
		return value(r.in.Params), true
	case expression.Request:
		return common.SchemalessTypedToVal(NewRequest(a, r.in.Form)), true
	case expression.Namespace:
		return namespaceValue(r.in.Namespace), true
	case expression.Variables:
		return r.lazies, true
	case expression.Authorizer:
		return library.NewAuthorizerVal(userOf(a.User), asAuthorizer{r.in.Authorizer}), true
	case expression.RequestResource:
		return library.NewResourceAuthorizerVal(userOf(a.User), asAuthorizer{r.in.Authorizer}, named{a, r.in.Form}), true
	}
	return nil, false
}

// object is the value of the request's object, in the form that the rule names.
func (r *Run) object(obj runtime.Object) ref.Val {
	shown, err := r.in.Attributes.Show(obj, r.in.Form)
	if err != nil {
		return types.WrapErr(err)
	}
	if !r.in.Plain || shown == nil {
		return value(shown)
	}
	if u, ok := shown.(*unstructured.Unstructured); ok {
		return types.DefaultTypeAdapter.NativeToValue(u.Object)
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(shown)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.DefaultTypeAdapter.NativeToValue(m)
}

func value(obj runtime.Object) ref.Val {
	switch o := obj.(type) {
	case nil:
		return types.NullValue
	case *unstructured.Unstructured:
		return types.DefaultTypeAdapter.NativeToValue(o.Object)
	}
	return common.SchemalessTypedToVal(obj)
}

// namespaceValue leaves out what expressions cannot name.
func namespaceValue(ns *corev1.Namespace) ref.Val {
	if ns == nil {
		return types.NullValue
	}
	m := ns.ObjectMeta
	return common.SchemalessTypedToVal(&corev1.Namespace{Spec: ns.Spec, Status: ns.Status, ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		Generation: m.Generation, CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
		DeletionGracePeriodSeconds: m.DeletionGracePeriodSeconds, Labels: m.Labels, Annotations: m.Annotations, Finalizers: m.Finalizers,
	}})
}
