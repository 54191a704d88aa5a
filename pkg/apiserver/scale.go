package apiserver

import (
	"net/http"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var scaleGVK = autoscalingv1.SchemeGroupVersion.WithKind("Scale")

// The scale subresource shows the number of replicas of any kind that has one as an autoscaling/v1 Scale, so that
// kubectl scale and autoscalers need not know the kind.

// getScale answers with the object's Scale.
func (s *Server) getScale(c *call) error {
	o, err := s.store.Get(c.ctx(), c.t.key(), store.ReadAt{})
	if err != nil {
		return apiError(err, c.t, c.t.name)
	}
	obj, err := load(c.t.row, o)
	if err != nil {
		return err
	}
	if lacks := c.t.row.Scale.Lacks; lacks != nil {
		if err := lacks(obj); err != nil {
			return apierrors.NewInternalError(err)
		}
	}
	return s.answerOther(c, http.StatusOK, scaleGVK, scaleOf(c.t.row, obj))
}

// updateScale sets the number of replicas to that of the body, which is a Scale.
func (s *Server) updateScale(c *call) error {
	o, err := updateOptions(c)
	if err != nil {
		return err
	}
	want := &autoscalingv1.Scale{}
	if err := s.decodeInto(c, want, scaleGVK, o.FieldValidation); err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: managerOf(o.FieldManager, c.r)}
	return s.rescale(c, w, func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) { return want, nil })
}

// patchScale applies a patch to the object's Scale.
func (s *Server) patchScale(c *call) error {
	kind, o, body, err := readPatch(c)
	if err != nil {
		return err
	}
	if kind == types.ApplyYAMLPatchType {
		kind = types.MergePatchType // a Scale has one field that can be set, so that to apply it is to merge it
		if body, err = yamlToJSON(body); err != nil {
			return err
		}
	}
	p, err := patcher(kind, body)
	if err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: managerOf(o.FieldManager, c.r)}
	return s.rescale(c, w, func(now *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		return patchedScale(c, o, body, p, now)
	})
}

func patchedScale(c *call, o *metav1.PatchOptions, body []byte, p patchFunc, now *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
	after, err := p.do(scaleGVK, now)
	if err != nil {
		return nil, err
	}
	want := &autoscalingv1.Scale{}
	strict, _, err := unmarshalJSON(after, want, true)
	if err != nil {
		return nil, badPatch(string(after), err)
	}
	return want, judgePatch(c, o, body, strict)
}

// rescale changes the object's replicas to what wanted makes of its Scale.
func (s *Server) rescale(c *call, w writeOptions, wanted func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error)) error {
	e := s.edit(c, w)
	e.next = func(old resource.Object) (resource.Object, error) {
		want, err := wanted(scaleOf(c.t.row, old))
		if err != nil {
			return nil, err
		}
		return scaled(c.t, want, old)
	}
	out, err := s.change(c, c.t, e)
	if err != nil {
		return err
	}
	obj := out.live
	if out.stored != nil {
		if obj, err = load(c.t.row, out.stored); err != nil {
			return err
		}
	}
	return s.answerOther(c, http.StatusOK, scaleGVK, scaleOf(c.t.row, obj))
}

// scaled returns a copy of old with the replicas of want.
func scaled(t *target, want *autoscalingv1.Scale, old resource.Object) (resource.Object, error) {
	if err := checkName(t, want); err != nil {
		return nil, err
	}
	if err := checkUID(t, want, old); err != nil {
		return nil, err
	}
	if want.Spec.Replicas < 0 && t.row.Custom == nil { // custom objects have a rule for it, and upstream's words for that
		return nil, apierrors.NewInvalid(scaleGVK.GroupKind(), want.Name, field.ErrorList{field.Invalid(
			field.NewPath("spec", "replicas"), want.Spec.Replicas, "must be greater than or equal to 0")})
	}
	next := old.DeepCopyObject().(resource.Object)
	t.row.Scale.Set(next, want.Spec.Replicas)
	if v := want.ResourceVersion; v != "" {
		next.SetResourceVersion(v)
	}
	return next, nil
}

func scaleOf(row *resource.Row, obj resource.Object) *autoscalingv1.Scale {
	state := row.Scale.Get(obj)
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name: obj.GetName(), Namespace: obj.GetNamespace(), UID: obj.GetUID(),
			ResourceVersion: obj.GetResourceVersion(), CreationTimestamp: obj.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: state.Spec},
		Status: autoscalingv1.ScaleStatus{Replicas: state.Status, Selector: state.Selector},
	}
}
