package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
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
	return s.answerScale(c, obj)
}

// answerScale sends obj's Scale in the shape that the client wants.
func (s *Server) answerScale(c *call, obj resource.Object) error {
	self := *c
	self.t = scaleTarget(c.t)
	return s.answerLive(&self, http.StatusOK, scaleOf(c.t.row, obj))
}

// The rows of Scales, which are in no table of kinds.
var scales, customScales = resource.Scales(), resource.CustomScales()

// scaleTarget is t's Scale as what is read and written.
func scaleTarget(t *target) *target {
	self := *t
	self.row = scales
	if t.row.Custom != nil {
		self.row = customScales
	}
	self.ver = &self.row.Versions[0]
	return &self
}

// updateScale sets the number of replicas to that of the body, which is a Scale.
func (s *Server) updateScale(c *call) error {
	o, err := updateOptions(c)
	if err != nil {
		return err
	}
	want := &autoscalingv1.Scale{}
	if err := s.decodeInto(c, want, scaleGVK, o.FieldValidation); err != nil {
		return unlikeScale(c, err)
	}
	if err := checkName(c.t, want); err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: managerOf(o.FieldManager, c.r)}
	return s.rescale(c, w, func(now *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		next := want.DeepCopy()
		s.fields.updated(scaleTarget(c.t), "scale", next, now, w.manager)
		return next, nil
	})
}

// unlikeScale is err for the Scale of a built-in kind. Upstream's server of custom kinds has no name for the type that it wanted, so it has but one
// error for all that is no Scale.
func unlikeScale(c *call, err error) error {
	if c.t.row.Custom == nil || !apierrors.IsBadRequest(err) {
		return err
	}
	return apierrors.NewBadRequest(`no kind is registered for the type v1.Scale in scheme "pkg/apiserver/customresource_handler.go:781"`)
}

// patchScale applies a patch to the object's Scale.
func (s *Server) patchScale(c *call) error {
	kind, o, body, err := readPatch(c)
	if err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: managerOf(o.FieldManager, c.r)}
	if kind == types.ApplyYAMLPatchType {
		return s.applyScale(c, o, body, w)
	}
	p, err := patcher(kind, body)
	if err != nil {
		return err
	}
	return s.rescale(c, w, func(now *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		next, err := patchedScale(c, o, p, now)
		if err == nil {
			s.fields.updated(scaleTarget(c.t), "scale", next, now, w.manager)
		}
		return next, err
	})
}

func patchedScale(c *call, o *metav1.PatchOptions, p patchFunc, now *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
	want := &autoscalingv1.Scale{}
	faults, err := p.do(scaleGVK, now, want, o.FieldValidation != metav1.FieldValidationIgnore)
	if err == nil && p.showsObject {
		err = fitting(scaleGVK, want, faults)
	}
	if errors.Is(err, errUnversioned) {
		return nil, unversioned(c, o, faults)
	}
	if err != nil {
		return nil, err
	}
	return want, judgePatch(c, o, faults)
}

// applyScale is server-side apply to the object's Scale. Where nobody owns the replicas of a custom
// object yet, upstream cannot find out who would, as the kind knows no Scale.
func (s *Server) applyScale(c *call, o *metav1.PatchOptions, body []byte, w writeOptions) error {
	want, err := readApplied(c, o, body)
	if err != nil {
		return err
	}
	force := o.Force != nil && *o.Force
	return s.rescale(c, w, func(now *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
		if want.bad != nil {
			return nil, want.bad
		}
		if c.t.row.Custom != nil && len(now.ManagedFields) == 0 && want.GroupVersionKind() == scaleGVK {
			return nil, errors.New("failed to create manager for existing fields: failed to convert live object (/; autoscaling/v1, Kind=Scale) " +
				"to proper version: request to convert CR to an invalid group/version: autoscaling/v1")
		}
		next, err := s.fields.apply(scaleTarget(c.t), "scale", now, want.Unstructured, w.manager, force)
		if err != nil {
			return nil, err
		}
		return next.(*autoscalingv1.Scale), want.judge(c)
	})
}

// rescale changes the object's replicas to what wanted makes of its Scale.
func (s *Server) rescale(c *call, w writeOptions, wanted func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error)) error {
	w.applied = true // the owners of the one field of a Scale become owners of the one field of the object
	e := s.edit(c, w)
	e.next = func(old resource.Object) (resource.Object, error) {
		owners := managedfields.NewScaleHandler(old.GetManagedFields(), c.t.ver.GroupVersion, replicasPaths(c.t.row))
		now := scaleOf(c.t.row, old)
		var err error
		if now.ManagedFields, err = owners.ToSubresource(); err != nil {
			return nil, err
		}
		want, err := wanted(now)
		if err != nil {
			return nil, err
		}
		next, err := scaled(c.t, want, old)
		if err != nil {
			return nil, err
		}
		entries, err := owners.ToParent(want.ManagedFields)
		next.SetManagedFields(entries)
		return next, err
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
	return s.answerScale(c, obj)
}

// replicasPaths is where the replicas of row's objects are, by version.
func replicasPaths(row *resource.Row) managedfields.ResourcePathMappings {
	paths := managedfields.ResourcePathMappings{}
	steps := []any{}
	for step := range strings.SplitSeq(row.Scale.ReplicasPath, ".") {
		steps = append(steps, step)
	}
	for _, v := range row.EveryVersion() {
		paths[v.GroupVersion.String()] = fieldpath.MakePathOrDie(steps...)
	}
	return paths
}

// scaled returns a copy of old with the replicas of want.
func scaled(t *target, want *autoscalingv1.Scale, old resource.Object) (resource.Object, error) {
	if err := checkName(t, want); err != nil {
		return nil, err
	}
	if want.UID != "" && want.UID != old.GetUID() {
		resource := schema.GroupResource{Group: t.group, Resource: t.resource + "/scale"}
		//lint:ignore ST1005 clients see this text
		return nil, apierrors.NewConflict(resource, t.name, fmt.Errorf(
			"Precondition failed: UID in precondition: %v, UID in object meta: %v", want.UID, old.GetUID()))
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
		TypeMeta: metav1.TypeMeta{Kind: scaleGVK.Kind, APIVersion: scaleGVK.GroupVersion().String()},
		ObjectMeta: metav1.ObjectMeta{
			Name: obj.GetName(), Namespace: obj.GetNamespace(), UID: obj.GetUID(),
			ResourceVersion: obj.GetResourceVersion(), CreationTimestamp: obj.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: state.Spec},
		Status: autoscalingv1.ScaleStatus{Replicas: state.Status, Selector: state.Selector},
	}
}
