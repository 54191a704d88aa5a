package apiserver

import (
	"fmt"
	"net/http"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var bindingResource = schema.GroupResource{Resource: "pods/binding"}

// bind is the scheduler's one write: it sets where a pod runs, once.
func (s *Server) bind(c *call) error {
	b, o, err := s.readBinding(c)
	if err != nil {
		return err
	}
	return s.bindTo(c, b, o)
}

// bindNamed is bind where the body alone says which pod it is about: at namespaces/NAMESPACE/bindings.
func (s *Server) bindNamed(c *call) error {
	b, o, err := s.readBinding(c)
	switch {
	case err != nil:
		return err
	case b.Name == "":
		return apierrors.NewBadRequest("Name parameter required.")
	}
	pod := *c.t
	pod.resource, pod.name, pod.sub = "pods", b.Name, "binding"
	c.kinds.resolve(&pod)
	if pod.row == nil {
		notServed(c.w)
		return nil
	}
	c.t = &pod
	return s.bindTo(c, b, o)
}

func (s *Server) readBinding(c *call) (*corev1.Binding, *metav1.CreateOptions, error) {
	o, err := createOptions(c)
	if err != nil {
		return nil, nil, err
	}
	b := &corev1.Binding{}
	return b, o, s.decodeInto(c, b, corev1.SchemeGroupVersion.WithKind("Binding"), o.FieldValidation)
}

// bindTo does what b says to the pod that c is about.
func (s *Server) bindTo(c *call, b *corev1.Binding, o *metav1.CreateOptions) error {
	if err := checkBinding(c.t, b); err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0}
	if err := s.admit(c, s.attributes(c, c.t, admission.Create, "binding", b, nil, w)); err != nil {
		return err
	}
	e := &edit{writeOptions: w, op: admission.Update, sub: "binding", admitted: true, part: &resource.Status{}}
	e.next = func(old resource.Object) (resource.Object, error) { return bound(old.(*corev1.Pod), b, s.seconds()) }
	if _, err := s.change(c, c.t, e); err != nil {
		return err
	}
	return s.answerOther(c, http.StatusCreated, statusGVK, &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated})
}

// admit runs both halves of admission for an object that is not stored itself.
func (s *Server) admit(c *call, a *admission.Attributes) error {
	if err := s.cfg.Admission.Admit(c.ctx(), a); err != nil {
		return err
	}
	return s.cfg.Admission.Validate(c.ctx(), a)
}

func checkBinding(t *target, b *corev1.Binding) error {
	if b.Name != "" && b.Name != t.name {
		return apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if b.Namespace != "" && b.Namespace != t.namespace {
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	var errs field.ErrorList
	if k := b.Target.Kind; k != "" && k != "Node" {
		errs = append(errs, field.NotSupported(field.NewPath("target", "kind"), k, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		errs = append(errs, field.Required(field.NewPath("target", "name"), ""))
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "Binding"}, t.name, errs)
	}
	return nil
}

// bound returns a copy of old that is bound as b says.
func bound(old *corev1.Pod, b *corev1.Binding, now metav1.Time) (resource.Object, error) {
	if err := bindable(old, b); err != nil {
		return nil, apierrors.NewConflict(bindingResource, old.Name, err)
	}
	pod := old.DeepCopy()
	pod.Spec.NodeName = b.Target.Name
	pod.Annotations = merged(pod.Annotations, b.Annotations)
	pod.Labels = merged(pod.Labels, b.Labels)
	setCondition(pod, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, now)
	return pod, nil
}

// bindable tells whether pod may still be bound. The texts are upstream's, with their capitals.
//
//lint:file-ignore ST1005 clients see these texts
func bindable(pod *corev1.Pod, b *corev1.Binding) error {
	switch {
	case b.UID != "" && b.UID != pod.UID:
		return fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", b.UID, pod.UID)
	case b.ResourceVersion != "" && b.ResourceVersion != pod.ResourceVersion:
		return fmt.Errorf("Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v",
			b.ResourceVersion, pod.ResourceVersion)
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) != 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	return nil
}

func merged(into, from map[string]string) map[string]string {
	if into == nil && len(from) > 0 {
		into = map[string]string{}
	}
	for k, v := range from {
		into[k] = v
	}
	return into
}

// setCondition sets a condition of the pod. Its time is that of the change, so one that says what it said keeps it.
func setCondition(pod *corev1.Pod, want corev1.PodCondition, now metav1.Time) {
	want.LastTransitionTime, want.ObservedGeneration = now, pod.Generation
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == want.Type {
			if c.Status == want.Status {
				want.LastTransitionTime = c.LastTransitionTime
			}
			*c = want
			return
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, want)
}
