package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// To evict a pod is to delete it on behalf of somebody who can wait, such as kubectl drain: only if the budget that the pod
// belongs to has a disruption to spare. The order of things makes this safe for any number of evictions at once: first the
// disruption is taken out of the budget's status, with the name of the pod, under the optimistic lock that every write has;
// then the pod is marked and deleted. Who fails in between has taken a disruption too many, which the disruption controller
// gives back after a while: the pod is named in the budget, and still there.
//
// Pods that disrupt nobody are deleted without asking: those that do not run yet or no longer, those that are being deleted,
// and, depending on the budget, those that are not ready. But a pod may become ready meanwhile, so such a delete demands that the
// pod is still as it was when this was decided.

// disruptedMost is how many pods of a budget may be on their way out without the controller having noticed.
const disruptedMost = 2000

// evictTries is how often a pod that changes while it is looked at is looked at again.
const evictTries = 20

// evict is the eviction subresource of pods.
func (s *Server) evict(c *call) error {
	o, err := createOptions(c)
	if err != nil {
		return err
	}
	ev := &policyv1.Eviction{}
	if err := s.decodeInto(c, ev, evictionGVK, o.FieldValidation); err != nil {
		return err
	}
	if err := matchNamespace(c.t, ev); err != nil {
		return err
	}
	deletion, err := s.admitEviction(c, ev, o)
	if err != nil {
		return err
	}
	if err := s.evictPod(c, deletion); err != nil {
		return err
	}
	return s.answerOther(c, http.StatusCreated, statusGVK, &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated})
}

// admitEviction asks admission, which may change the eviction before it is looked at, and returns how to delete.
func (s *Server) admitEviction(c *call, ev *policyv1.Eviction, o *metav1.CreateOptions) (*metav1.DeleteOptions, error) {
	deletion, mismatch := evictionOptions(ev, o)
	w := writeOptions{options: o, dryRun: mismatch == nil && len(deletion.DryRun) > 0}
	a := s.attributes(c, c.t, admission.Create, "eviction", ev, nil, w)
	if err := s.cfg.Admission.Admit(c.ctx(), a); err != nil {
		return nil, err
	}
	if ev.Name != c.t.name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	deletion, err := evictionOptions(ev, o)
	if err != nil {
		return nil, err
	}
	return deletion, s.cfg.Admission.Validate(c.ctx(), a)
}

// evictionOptions are those of the delete. Both the request and its body may ask for a dry run.
func evictionOptions(ev *policyv1.Eviction, o *metav1.CreateOptions) (*metav1.DeleteOptions, error) {
	if ev.DeleteOptions == nil {
		return &metav1.DeleteOptions{DryRun: o.DryRun}, nil
	}
	deletion := ev.DeleteOptions.DeepCopy()
	switch {
	case len(deletion.DryRun) == 0:
		deletion.DryRun = o.DryRun
	case len(o.DryRun) > 0 && !slices.Equal(o.DryRun, deletion.DryRun):
		//lint:ignore ST1005 clients see this text
		return nil, fmt.Errorf("Non-matching dry-run options in request and content: %v and %v", o.DryRun, deletion.DryRun)
	}
	return deletion, nil
}

// evictPod deletes the pod, once its budget allows it.
func (s *Server) evictPod(c *call, o *metav1.DeleteOptions) error {
	pinned := o.Preconditions != nil && o.Preconditions.ResourceVersion != nil
	pod, err := s.evictIdle(c, o, pinned)
	if err != nil || pod == nil {
		return err
	}
	budget, err := s.budgetOf(c.ctx(), pod)
	if err != nil {
		return err
	}
	asItWas := false
	if budget != nil {
		if asItWas = harmless(pod, budget); !asItWas {
			err = s.takeDisruption(c, pod, budget.Name, len(o.DryRun) > 0)
		}
	}
	if err != nil {
		return err
	}
	if asItWas {
		o = withVersion(o, pod.ResourceVersion)
	}
	err = s.deleteEvicted(c, o)
	if apierrors.IsConflict(err) && asItWas && !pinned {
		return stillProcessing(budget.Name) // the pod has changed, and may be worth more now
	}
	return err
}

// evictIdle deletes the pod if it is one that no budget is asked about, and returns it if it is not.
func (s *Server) evictIdle(c *call, o *metav1.DeleteOptions, pinned bool) (*corev1.Pod, error) {
	for try := 1; ; try++ {
		cur, err := s.store.Get(c.ctx(), c.t.key(), store.ReadAt{Kind: store.Newest})
		if err != nil {
			return nil, apiError(err, c.t, c.t.name)
		}
		obj, err := load(c.t.row, cur)
		if err != nil {
			return nil, err
		}
		pod := obj.(*corev1.Pod)
		if !idle(pod) {
			return pod, nil
		}
		deletion := o
		if mayWake(pod) && !pinned {
			deletion = withVersion(o, pod.ResourceVersion)
		}
		if err = s.deleteEvicted(c, deletion); pinned || try == evictTries || !apierrors.IsConflict(err) {
			return nil, err
		}
	}
}

// idle is whether nobody is served by the pod, so that its end disrupts nothing.
func idle(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodPending || !mayWake(p) }

// mayWake is whether a pod may still become ready.
func mayWake(p *corev1.Pod) bool {
	return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed && p.DeletionTimestamp == nil
}

// harmless is whether a pod that the budget is about is worth nothing to it. If so, the pod's end takes no disruption.
func harmless(p *corev1.Pod, b *policyv1.PodDisruptionBudget) bool {
	if hasCondition(p, corev1.PodReady) {
		return false
	}
	if policy := b.Spec.UnhealthyPodEvictionPolicy; policy != nil && *policy == policyv1.AlwaysAllow {
		return true
	}
	return b.Status.CurrentHealthy >= b.Status.DesiredHealthy && b.Status.DesiredHealthy > 0
}

func hasCondition(p *corev1.Pod, t corev1.PodConditionType) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == t && c.Status == corev1.ConditionTrue
	})
}

// withVersion is o for the pod at one version only.
func withVersion(o *metav1.DeleteOptions, version string) *metav1.DeleteOptions {
	o = o.DeepCopy()
	if o.Preconditions == nil {
		o.Preconditions = &metav1.Preconditions{}
	}
	o.Preconditions.ResourceVersion = &version
	return o
}

// deleteEvicted notes in the pod why it is deleted, and deletes it. Admission has seen the eviction, and does not see the delete.
func (s *Server) deleteEvicted(c *call, o *metav1.DeleteOptions) error {
	if len(o.DryRun) == 0 {
		e := &edit{writeOptions: writeOptions{options: &metav1.UpdateOptions{}}, op: admission.Update, sub: "status", part: c.t.row.Status, admitted: true}
		e.next = func(old resource.Object) (resource.Object, error) {
			if err := checkPreconditions(c.t, o.Preconditions, old); err != nil {
				return nil, err
			}
			pod := old.(*corev1.Pod).DeepCopy()
			setCondition(pod, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
				Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting"}, s.seconds())
			return pod, nil
		}
		out, err := s.change(c, c.t, e)
		if err != nil {
			return err
		}
		if out.stored != nil && o.Preconditions != nil && o.Preconditions.ResourceVersion != nil {
			o = withVersion(o, fmt.Sprint(out.stored.Rev))
		}
	}
	if err := invalidOptions("DeleteOptions", validation.ValidateDeleteOptions(o)); err != nil {
		return err
	}
	_, err := s.removeBy(c, c.t, o, nil)
	return err
}

// budgetOf is the budget that the pod belongs to, or nil.
func (s *Server) budgetOf(ctx context.Context, pod *corev1.Pod) (*policyv1.PodDisruptionBudget, error) {
	t := s.budgetTarget(pod.Namespace, "")
	if t == nil {
		return nil, nil
	}
	page, err := s.store.List(ctx, t.row.KeyPrefix(pod.Namespace), store.ReadAt{Kind: store.Newest}, store.ListOptions{})
	if err != nil {
		return nil, err
	}
	var found *policyv1.PodDisruptionBudget
	for _, o := range page.Objects {
		obj, err := load(t.row, o)
		if err != nil {
			return nil, err
		}
		b := obj.(*policyv1.PodDisruptionBudget)
		if !covers(b, pod) {
			continue
		}
		if found != nil {
			//lint:ignore ST1005 clients see this text
			return nil, errors.New("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
		}
		found = b
	}
	return found, nil
}

// budgetTarget is a budget's status; nil if the server has no such kind.
func (s *Server) budgetTarget(namespace, name string) *target {
	row, ver, ok := s.kinds.Load().table.ByResource(policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets"))
	if !ok {
		return nil
	}
	return &target{isResource: true, verb: "update", group: ver.Group, version: ver.Version, resource: row.Resource, sub: "status",
		namespace: namespace, name: name, row: row, ver: ver}
}

// takeDisruption takes one out of the budget, for the pod. The server does this itself, not the user: who may evict a pod need
// not have rights on budgets.
func (s *Server) takeDisruption(c *call, pod *corev1.Pod, budget string, dry bool) error {
	self := *c
	self.t = s.budgetTarget(pod.Namespace, budget)
	self.user = auth.User{Name: "system:apiserver", Groups: []string{"system:authenticated", "system:masters"}}
	e := s.edit(&self, writeOptions{options: &metav1.UpdateOptions{}, dryRun: dry, manager: "kube-apiserver"})
	e.next = func(old resource.Object) (resource.Object, error) {
		return disrupted(old.(*policyv1.PodDisruptionBudget), pod.Name, s.seconds())
	}
	_, err := s.change(&self, self.t, e)
	return err
}

// stillProcessing asks to come back when the disruption controller has caught up.
func stillProcessing(budget string) error {
	return tooDisruptive(10, fmt.Sprintf("The disruption budget %s is still being processed by the server.", budget))
}

func tooDisruptive(after int, cause string) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", after)
	return withCause(err, cause)
}

func overdrawn(budget, reason, cause string) error {
	err := apierrors.NewForbidden(schema.GroupResource{Group: policyv1.GroupName, Resource: "poddisruptionbudget"}, budget, errors.New(reason))
	return withCause(err, fmt.Sprintf("The disruption budget %s does not allow evicting pods currently: %s", budget, cause))
}

func withCause(err *apierrors.StatusError, cause string) error {
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes,
		metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: cause})
	return err
}
