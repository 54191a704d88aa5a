package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Priority turns the name of a pod's priority class into the number that the scheduler compares.
type Priority struct {
	get     Getter
	classes func(context.Context) ([]*schedulingv1.PriorityClass, error)
}

func newPriority(d Deps) Priority {
	return Priority{d.Get, everywhere[*schedulingv1.PriorityClass](d, priorityClasses)}
}

var priorityClasses = schema.GroupResource{Group: schedulingv1.GroupName, Resource: "priorityclasses"}

// systemPriorities are the classes that every cluster has, also before their objects are made.
var systemPriorities = map[string]int32{"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}

// Name is upstream's.
func (Priority) Name() string { return "Priority" }

// Admit computes the priority of a new pod. An update keeps it: a client that knows nothing of it must not lose it. The system's classes stay.
func (p Priority) Admit(ctx context.Context, a *Attributes) error {
	if _, ours := systemPriorities[a.Name]; ours && a.Operation == Delete && a.is("priorityclasses.scheduling.k8s.io") {
		return a.forbidden("this is a system priority class and cannot be deleted")
	}
	if !a.is("pods") || (a.Operation != Create && a.Operation != Update) {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.wrongType(p.Name())
	}
	if a.Operation == Create {
		return p.compute(ctx, a, pod)
	}
	old, ok := a.Old.(*corev1.Pod)
	if !ok {
		return a.wrongType(p.Name())
	}
	if pod.Spec.Priority == nil {
		pod.Spec.Priority = old.Spec.Priority
	}
	if pod.Spec.PreemptionPolicy == nil {
		pod.Spec.PreemptionPolicy = old.Spec.PreemptionPolicy
	}
	return nil
}

func (p Priority) compute(ctx context.Context, a *Attributes, pod *corev1.Pod) error {
	class, err := p.class(ctx, a, pod.Spec.PriorityClassName)
	if err != nil {
		return err
	}
	if n := pod.Spec.Priority; n != nil && *n != class.Value {
		return a.forbidden("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *n, class.Value)
	}
	policy := class.PreemptionPolicy
	if given := pod.Spec.PreemptionPolicy; given != nil && policy != nil && *given != *policy {
		return a.forbidden("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *given, *policy)
	}
	pod.Spec.PriorityClassName, pod.Spec.Priority = class.Name, &class.Value
	if policy != nil {
		pod.Spec.PreemptionPolicy = policy
	}
	return nil
}

// class finds the class of that name; without a name, the global default; without that, one of nobody and nothing. It
// returns a copy.
func (p Priority) class(ctx context.Context, a *Attributes, name string) (*schedulingv1.PriorityClass, error) {
	if name == "" {
		return p.global(ctx)
	}
	o, err := p.get.Get(ctx, priorityClasses, "", name)
	if c, ok := o.(*schedulingv1.PriorityClass); err == nil && ok {
		return c.DeepCopy(), nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, a.forbidden("failed to get PriorityClass with name %s: %w", name, err)
	}
	value, ok := systemPriorities[name]
	if !ok {
		return nil, a.forbidden("no PriorityClass with name %v was found", name)
	}
	c := classOf(value)
	c.Name = name
	return c, nil
}

// global returns the default class; where several claim to be, the one with the lowest value.
func (p Priority) global(ctx context.Context) (*schedulingv1.PriorityClass, error) {
	all, err := p.classes(ctx)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	var lowest *schedulingv1.PriorityClass
	for _, c := range all {
		if c.GlobalDefault && (lowest == nil || c.Value < lowest.Value) {
			lowest = c
		}
	}
	if lowest == nil {
		return classOf(0), nil
	}
	return lowest.DeepCopy(), nil
}

func classOf(value int32) *schedulingv1.PriorityClass {
	policy := corev1.PreemptLowerPriority
	return &schedulingv1.PriorityClass{Value: value, PreemptionPolicy: &policy}
}

// Validate keeps a second class from becoming the default.
func (p Priority) Validate(ctx context.Context, a *Attributes) error {
	if !a.is(priorityClasses.String()) || (a.Operation != Create && a.Operation != Update) {
		return nil
	}
	c, ok := a.Object.(*schedulingv1.PriorityClass)
	if !ok {
		return a.wrongType(p.Name())
	}
	if !c.GlobalDefault {
		return nil
	}
	other, err := p.global(ctx)
	if err != nil {
		return err
	}
	if other.Name != "" && other.Name != c.Name {
		return a.forbidden("PriorityClass %v is already marked as default. Only one default can exist", other.Name)
	}
	return nil
}
