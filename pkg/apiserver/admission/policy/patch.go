package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/judge"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"google.golang.org/protobuf/types/known/structpb"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	celmutation "k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
	kjson "sigs.k8s.io/json"
)

// mutate evaluates one mutation, and does what it says. An error that is no answer yet is the policy's.
func (p *Mutating) mutate(ctx context.Context, in judge.Input, policy *mutatingPolicy, m mutation) error {
	if m.value.Error != nil {
		return m.value.Error
	}
	a, form := in.Attributes, in.Form
	run := judge.NewRun(ctx, in, celconfig.RuntimeCELCostBudget)
	policy.declare(run)
	types := p.typesOf(a, form)
	if types == nil {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("Resource kind %s not found. There can be a delay between when "+
			"CustomResourceDefinitions are created and when they are available.", form.Kind))
	}
	v, err := run.Eval(m.value)
	if err != nil {
		return err
	}
	shown, err := a.Show(a.Object, form)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	var next runtime.Object
	if m.patches {
		next, err = patched(v, shown, a, form)
	} else {
		next, err = configured(v, shown, types, a, form)
	}
	if err != nil || next == nil {
		return err
	}
	if err := a.Take(next, form); err != nil {
		return apierrors.NewInternalError(err)
	}
	return nil
}

// typesOf are the schemas by which a configuration is applied; nil if the kind has none.
func (p *Mutating) typesOf(a *admission.Attributes, form admission.Form) managedfields.TypeConverter {
	if a.Row.Custom != nil && form.Kind.Kind == a.Row.Kind {
		return a.Row.Custom.Types
	}
	return p.Types(form.Kind)
}

// patched applies the JSON patch v; nil if a test in it says that it is not meant for this object.
func patched(v ref.Val, shown runtime.Object, a *admission.Attributes, form admission.Form) (runtime.Object, error) {
	patch, err := patchOf(v)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(shown)
	if err != nil {
		return nil, fmt.Errorf("failed to create JSON patch: %w", err)
	}
	after, err := patch.Apply(before)
	if errors.Is(err, jsonpatch.ErrTestFailed) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("JSON Patch: %w", err)
	}
	next := a.New(form)
	strict, err := kjson.UnmarshalStrict(after, next)
	if err == nil && len(strict) > 0 {
		err = runtime.NewStrictDecodingError(strict)
	}
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return next, nil
}

// patchOf reads a list of JSONPatch{…}.
func patchOf(v ref.Val) (jsonpatch.Patch, error) {
	list, ok := v.(traits.Lister)
	if !ok {
		return nil, errors.New("type mismatch: JSONPatchType.expression should evaluate to array")
	}
	patch := jsonpatch.Patch{}
	for it := list.Iterator(); it.HasNext() == types.True; {
		native, err := it.Next().ConvertToNative(reflect.TypeFor[*celmutation.JSONPatchVal]())
		if err != nil {
			return nil, fmt.Errorf("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch: %w", err)
		}
		op, err := operation(native.(*celmutation.JSONPatchVal))
		if err != nil {
			return nil, err
		}
		patch = append(patch, op)
	}
	return patch, nil
}

func operation(v *celmutation.JSONPatchVal) (jsonpatch.Operation, error) {
	op := jsonpatch.Operation{"op": rawText(v.Op), "path": rawText(v.Path)}
	if v.From != "" {
		op["from"] = rawText(v.From)
	}
	if v.Val == nil {
		return op, nil
	}
	if o, ok := v.Val.(*dynamic.ObjectVal); ok {
		if err := o.CheckTypeNamesMatchFieldPathNames(); err != nil {
			return nil, fmt.Errorf("type mismatch: %w", err)
		}
	}
	const unmarshalable = "JSONPath valueExpression evaluated to a type that could not marshal to JSON: %w"
	native, err := v.Val.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err != nil {
		return nil, fmt.Errorf(unmarshalable, err)
	}
	value, err := json.Marshal(native)
	if err != nil {
		return nil, fmt.Errorf(unmarshalable, err)
	}
	raw := json.RawMessage(value)
	op["value"] = &raw
	return op, nil
}

func rawText(s string) *json.RawMessage {
	b, _ := json.Marshal(s)
	raw := json.RawMessage(b)
	return &raw
}

// typed returns u, which is what a merge came to, as an object of the form.
func typed(u runtime.Object, a *admission.Attributes, form admission.Form) (runtime.Object, error) {
	from, ok := u.(*unstructured.Unstructured)
	if !ok {
		return u, nil
	}
	next := a.New(form)
	if _, ok := next.(*unstructured.Unstructured); ok {
		return from, nil
	}
	return next, runtime.DefaultUnstructuredConverter.FromUnstructured(from.Object, next)
}
