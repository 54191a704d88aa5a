package apiserver

import (
	"fmt"
	"net/http"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var podResource, bindingResource = schema.GroupResource{Resource: "pods"}, schema.GroupResource{Resource: "pods/binding"}

// bind is the scheduler's one write: it sets where a pod runs, once.
func (s *Server) bind(c *call) error {
	b, o, err := s.readBinding(c)
	if err != nil {
		return err
	}
	return s.bindTo(c, c.t, "binding", b, o)
}

// bindNamed is bind where the body alone says which pod it is about: at namespaces/NAMESPACE/bindings.
func (s *Server) bindNamed(c *call) error {
	b, o, err := s.readBinding(c)
	if err != nil {
		return err
	}
	asked, pod := c.t, *c.t
	pod.resource, pod.name, pod.sub = "pods", b.Name, "binding"
	c.kinds.resolve(&pod)
	if pod.row == nil {
		notServed(c.w)
		return nil
	}
	c.t = &pod
	return s.bindTo(c, asked, "", b, o)
}

func (s *Server) readBinding(c *call) (*corev1.Binding, *metav1.CreateOptions, error) {
	o, err := createOptions(c)
	if err != nil {
		return nil, nil, err
	}
	b := &corev1.Binding{}
	return b, o, s.decodeInto(c, b, corev1.SchemeGroupVersion.WithKind("Binding"), o.FieldValidation)
}

// bindTo does what b says to the pod that c is about. Admission is told what the client asked for, which may be a binding by itself.
func (s *Server) bindTo(c *call, asked *target, sub string, b *corev1.Binding, o *metav1.CreateOptions) error {
	if b.Namespace != "" && b.Namespace != c.t.namespace {
		return errOtherNamespace
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0}
	a := s.attributes(c, asked, admission.Create, sub, b, nil, w)
	if err := s.cfg.Admission.Admit(c.ctx(), a); err != nil {
		return err
	}
	if err := checkBinding(c.t, b); err != nil {
		return err
	}
	if err := s.cfg.Admission.Validate(c.ctx(), a); err != nil {
		return err
	}
	if c.t.name == "" { // the body alone could have said it
		return apierrors.NewBadRequest("Name parameter required.")
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
	if b.Name != t.name {
		return apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	var errs field.ErrorList
	if k := b.Target.Kind; k != "" && k != "Node" {
		errs = append(errs, field.NotSupported(field.NewPath("target", "kind"), k, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		errs = append(errs, field.Required(field.NewPath("target", "name"), ""))
	} else if b.Target.Kind == "" || b.Target.Kind == "Node" {
		for _, m := range apivalidation.NameIsDNSSubdomain(b.Target.Name, false) {
			errs = append(errs, field.Invalid(field.NewPath("target", "name"), b.Target.Name, m))
		}
	}
	if len(errs) > 0 {
		return errs.ToAggregate() // the API has never called a bad binding invalid
	}
	return nil
}

// bound returns a copy of old that is bound as b says.
func bound(old *corev1.Pod, b *corev1.Binding, now metav1.Time) (resource.Object, error) {
	if err := asExpected(old, b); err != nil {
		return nil, apierrors.NewConflict(podResource, old.Name, err)
	}
	if err := bindable(old); err != nil {
		return nil, apierrors.NewConflict(bindingResource, old.Name, err)
	}
	pod := old.DeepCopy()
	pod.Spec.NodeName = b.Target.Name
	pod.Status.NominatedNodeName = "" // the nomination has come true, or not
	pod.Annotations = merged(pod.Annotations, b.Annotations)
	pod.Labels = merged(pod.Labels, b.Labels)
	setCondition(pod, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, now)
	return pod, nil
}

// asExpected tells whether pod is the one, and as old, that b is about. The words are those of the storage of the API.
//
//lint:file-ignore ST1005 clients see these texts
func asExpected(pod *corev1.Pod, b *corev1.Binding) error {
	text := "StorageError: invalid object, Code: 4, Key: /registry/pods/" + pod.Namespace + "/" + pod.Name + ", ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
	switch {
	case b.UID != "" && b.UID != pod.UID:
		return fmt.Errorf("%sUID in precondition: %v, UID in object meta: %v", text, b.UID, pod.UID)
	case b.ResourceVersion != "" && b.ResourceVersion != pod.ResourceVersion:
		return fmt.Errorf("%sResourceVersion in precondition: %v, ResourceVersion in object meta: %v", text, b.ResourceVersion, pod.ResourceVersion)
	}
	return nil
}

// bindable tells whether pod may still be bound.
func bindable(pod *corev1.Pod) error {
	switch {
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
	want.LastTransitionTime = now
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
