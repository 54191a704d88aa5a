package policy

import (
	"context"
	"errors"
	"fmt"

	"bonsai/pkg/resource"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// paramKind is the kind of a policy's parameters; nil if it has none.
type paramKind struct {
	row *resource.Row
	ver *resource.Version
}

func (c *Config) kindOf(k *admissionv1.ParamKind) (*paramKind, error) {
	if k == nil {
		return nil, nil
	}
	gvk := schema.FromAPIVersionAndKind(k.APIVersion, k.Kind)
	row, ver, ok := c.Kinds(gvk)
	if !ok {
		return nil, fmt.Errorf("failed to find resource referenced by paramKind: '%v'", gvk)
	}
	return &paramKind{row, ver}, nil
}

// params returns the objects that ref names, for a request in that namespace. A policy is evaluated once for each; nil stands for
// none where none are asked for.
func (c *Config) params(ctx context.Context, kind *paramKind, ref *admissionv1.ParamRef, namespace string) ([]runtime.Object, error) {
	if kind == nil || ref == nil {
		return []runtime.Object{nil}, nil
	}
	switch {
	case !kind.row.Namespaced && ref.Namespace != "":
		return nil, errors.New("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
	case !kind.row.Namespaced:
		namespace = ""
	case ref.Namespace != "":
		namespace = ref.Namespace
	case namespace == "":
		return nil, errors.New("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
	}
	found, err := c.find(ctx, kind, ref, namespace)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && ref.ParameterNotFoundAction != nil && *ref.ParameterNotFoundAction == admissionv1.DenyAction {
		return nil, errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")
	}
	out := make([]runtime.Object, len(found))
	for i, obj := range found {
		if out[i], err = kind.show(obj); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *Config) find(ctx context.Context, kind *paramKind, ref *admissionv1.ParamRef, namespace string) ([]resource.Object, error) {
	if ref.Name != "" {
		obj, err := c.get(ctx, kind.row, namespace, ref.Name)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return []resource.Object{obj}, err
	}
	selector, err := metav1.LabelSelectorAsSelector(ref.Selector)
	if err != nil {
		return nil, err
	}
	all, err := c.list(ctx, kind.row, namespace)
	if err != nil {
		return nil, err
	}
	var found []resource.Object
	for _, obj := range all {
		if selector.Matches(labels.Set(obj.GetLabels())) {
			found = append(found, obj)
		}
	}
	return found, nil
}

// show returns obj in the version that the policy names.
func (k *paramKind) show(obj resource.Object) (runtime.Object, error) {
	if k.ver.FromStorage == nil {
		return obj, nil
	}
	shown, err := k.ver.FromStorage(obj.DeepCopyObject().(resource.Object))
	if err != nil {
		return nil, err
	}
	shown.GetObjectKind().SetGroupVersionKind(k.ver.WithKind(k.row.Kind))
	return shown, nil
}

func (c *Config) get(ctx context.Context, row *resource.Row, namespace, name string) (resource.Object, error) {
	if row.Custom != nil {
		return c.Custom.GetCustom(ctx, row, namespace, name)
	}
	return c.Get.Get(ctx, schema.GroupResource{Group: row.Group(), Resource: row.Resource}, namespace, name)
}

func (c *Config) list(ctx context.Context, row *resource.Row, namespace string) ([]resource.Object, error) {
	if row.Custom != nil {
		return c.Custom.ListCustom(ctx, row, namespace)
	}
	return c.Get.List(ctx, schema.GroupResource{Group: row.Group(), Resource: row.Resource}, namespace)
}
