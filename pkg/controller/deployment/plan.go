package deployment

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
)

// state is all that a plan depends on, besides the time.
type state struct {
	deployment *appsv1.Deployment
	// replicaSets are all of the namespace: those to adopt and those that have taken a name are among them.
	replicaSets []*appsv1.ReplicaSet
	// pods are those the selector matches, for the Recreate strategy only.
	pods    []*corev1.Pod
	failure *reconcile.Failure
}

// set is a ReplicaSet in the making: what was seen, nil if it is to be made, and what it shall be.
type set struct {
	*appsv1.ReplicaSet
	seen *appsv1.ReplicaSet
	why  []string
	note *reconcile.Note
}

func (s *set) size() int32      { return *s.Spec.Replicas }
func (s *set) available() int32 { return s.Status.AvailableReplicas }

// planner holds the copies on which the decisions are made. At the end, each copy that differs from what
// was seen becomes one action.
type planner struct {
	state
	now time.Time
	// d is the deployment as it shall be: its status and its revision annotation are all that change.
	d *appsv1.Deployment
	// all are the ReplicaSets of this deployment, the oldest first; fresh is the one of the present template, nil if there
	// is none, and old are the others.
	all, old []*set
	fresh    *set
	// touched are those that were changed, in the order in which that should be written.
	touched []*set
	plan    reconcile.Plan
}

var gvk = appsv1.SchemeGroupVersion.WithKind("Deployment")

// plan is the next step towards what the deployment asks for.
func plan(s state, now time.Time) reconcile.Plan {
	p := &planner{state: s, now: now, d: s.deployment.DeepCopy()}
	selector, err := metav1.LabelSelectorAsSelector(p.d.Spec.Selector)
	if err != nil || selector.Empty() {
		return p.refuse()
	}
	mine, adopting := reconcile.Claim(&p.plan, p.d, gvk, selector, s.replicaSets)
	if adopting {
		return p.plan
	}
	p.sort(mine)
	p.step()
	p.emit()
	return p.plan
}

// refuse is for a selector that is empty and would take every pod of the namespace.
func (p *planner) refuse() reconcile.Plan {
	p.plan.Tell(p.note(corev1.EventTypeWarning, "SelectingAll",
		"This deployment is selecting all pods. A non-empty selector is required."), "the selector is empty")
	p.d.Status.ObservedGeneration = p.d.Generation
	p.plan.UpdateStatus(p.deployment, p.d, "generation %d was looked at and refused", p.d.Generation)
	if len(p.plan) == 1 { // it has been told
		return nil
	}
	return p.plan
}

// sort orders the sets by age and finds the one of the present template: the oldest that has it, as upstream does, so that two
// clusters with the same objects agree.
func (p *planner) sort(mine []*appsv1.ReplicaSet) {
	for _, rs := range mine {
		p.all = append(p.all, &set{ReplicaSet: rs.DeepCopy(), seen: rs})
	}
	slices.SortFunc(p.all, older)
	for _, s := range p.all {
		if p.fresh == nil && sameTemplate(&s.Spec.Template, &p.d.Spec.Template) {
			p.fresh = s
			continue
		}
		p.old = append(p.old, s)
	}
}

func older(a, b *set) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// step decides which of the ways to go on applies.
func (p *planner) step() {
	if p.d.DeletionTimestamp != nil {
		p.counts()
		return
	}
	p.notePause()
	switch {
	case p.d.Spec.Paused, p.resized():
		p.renew()
		p.scaleAll()
		if p.d.Spec.Paused {
			p.forget()
		}
		p.counts()
	case p.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		p.recreate()
		p.progress()
	default:
		p.roll()
		p.progress()
	}
}

// resized says whether the number of replicas was changed since the sets were last scaled: they note the number
// they were scaled for.
func (p *planner) resized() bool {
	for _, s := range p.all {
		desired, noted := number(s, desiredReplicas)
		if noted && s.size() > 0 && desired != *p.d.Spec.Replicas {
			return true
		}
	}
	return false
}

// roll is one step of a rolling update. Growing comes before shrinking, and only one of them is done in a plan: the
// numbers of the other have to be computed from what the first brought about.
func (p *planner) roll() {
	if !p.renew() && !p.add() {
		return
	}
	if p.growNew() || p.shrinkOld() {
		return
	}
	if p.complete(&p.d.Status) {
		p.forget()
	}
}

// recreate removes all old pods before the first new one.
func (p *planner) recreate() {
	p.renew()
	shrunk := false
	for _, s := range p.old {
		shrunk = p.scale(s, 0, "the strategy is Recreate: all old pods go first") || shrunk
	}
	if shrunk || p.oldPodsLeft() {
		return
	}
	if p.fresh == nil && !p.add() {
		return
	}
	p.scale(p.fresh, *p.d.Spec.Replicas, "no old pod is left")
	if p.complete(&p.d.Status) {
		p.forget()
	}
}

// oldPodsLeft says whether pods of an earlier template may still run.
func (p *planner) oldPodsLeft() bool {
	for _, s := range p.old {
		if s.Status.Replicas > 0 {
			return true
		}
	}
	for _, pod := range p.pods {
		ref := metav1.GetControllerOf(pod)
		if ref == nil || p.fresh != nil && ref.UID == p.fresh.UID || !p.controls(ref) {
			continue
		}
		if pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
			return true
		}
	}
	return false
}

func (p *planner) controls(ref *metav1.OwnerReference) bool {
	return slices.ContainsFunc(p.all, func(s *set) bool { return s.UID == ref.UID })
}

// forget removes the oldest sets beyond the history limit, if nothing of them runs.
func (p *planner) forget() {
	if !limited(p.d.Spec.RevisionHistoryLimit) {
		return
	}
	var kept []*set
	for _, s := range p.old {
		if s.DeletionTimestamp == nil {
			kept = append(kept, s)
		}
	}
	excess := len(kept) - int(*p.d.Spec.RevisionHistoryLimit)
	slices.SortStableFunc(kept, func(a, b *set) int { return int(revisionOf(a) - revisionOf(b)) })
	for i := 0; i < excess; i++ {
		s := kept[i]
		if s.Status.Replicas == 0 && s.size() == 0 && s.Generation <= s.Status.ObservedGeneration {
			p.plan.Delete(s.seen, "revision %d is beyond the history limit of %d", revisionOf(s), *p.d.Spec.RevisionHistoryLimit)
		}
	}
}

// emit turns the changed copies into actions. The status comes last, except after a failure: then it tells of the failure, and must
// be written although what follows will probably fail again.
func (p *planner) emit() {
	rest := p.plan
	p.plan = nil
	if p.failure != nil {
		p.emitStatus()
	}
	for _, s := range p.touched {
		why := strings.Join(s.why, "; ")
		if s.seen == nil {
			p.plan.Create(s.ReplicaSet, "%s", why).Done = s.note
			continue
		}
		p.plan.Update(s.seen, s.ReplicaSet, "%s", why).Done = s.note
	}
	p.plan = append(p.plan, rest...)
	if p.failure == nil {
		p.emitStatus()
	}
	p.emitDeadline()
}

func (p *planner) emitStatus() {
	p.plan.UpdateStatus(p.deployment, p.d, "%s", p.story())
}

// touch notes that a set is changed, and why.
func (p *planner) touch(s *set, why string) {
	if !slices.Contains(p.touched, s) {
		p.touched = append(p.touched, s)
	}
	s.why = append(s.why, why)
}

func (p *planner) note(kind, reason, message string) reconcile.Note {
	return reconcile.Note{About: p.deployment, Type: kind, Reason: reason, Message: message}
}

// limited says whether an optional limit is set; the largest number stands for none.
func limited(n *int32) bool { return n != nil && *n != 1<<31-1 }
