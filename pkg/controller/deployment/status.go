package deployment

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
)

// The conditions say three things. Available: the promise of available pods is kept. ReplicaFailure: pods could not be
// made or removed. Progressing tells the story of the rollout by its reason:
//
//	NewReplicaSetCreated, FoundNewReplicaSet   it has begun
//	ReplicaSetUpdated                          more pods are new or ready than before; the deadline starts anew
//	NewReplicaSetAvailable                     done; no deadline any more
//	ProgressDeadlineExceeded                   False: nothing moved for progressDeadlineSeconds
//	ReplicaSetCreateError                      False: the new set was refused
//	DeploymentPaused, DeploymentResumed        Unknown: no deadline runs

// counts fills in the numbers and the Available condition.
func (p *planner) counts() {
	s := &p.d.Status
	size := sum(p.all, (*set).size)
	s.ObservedGeneration = p.d.Generation
	s.Replicas = sum(p.all, func(s *set) int32 { return s.Status.Replicas })
	s.UpdatedReplicas = 0
	if p.fresh != nil {
		s.UpdatedReplicas = p.fresh.Status.Replicas
	}
	s.ReadyReplicas = sum(p.all, func(s *set) int32 { return s.Status.ReadyReplicas })
	s.AvailableReplicas = sum(p.all, (*set).available)
	s.UnavailableReplicas = max(0, size-s.AvailableReplicas)
	s.TerminatingReplicas = p.terminating()
	if s.AvailableReplicas >= *p.d.Spec.Replicas-p.unavailable() {
		p.set(appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		p.set(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
}

// terminating is unknown, nil, until all sets have told.
func (p *planner) terminating() *int32 {
	var n int32
	for _, s := range p.all {
		if s.Status.TerminatingReplicas == nil {
			if s.seen == nil {
				continue
			}
			return nil
		}
		n += *s.Status.TerminatingReplicas
	}
	return &n
}

// progress counts and says how the rollout is going.
func (p *planner) progress() {
	before := p.d.Status.DeepCopy()
	p.counts()
	now := &p.d.Status
	current := condition(now, appsv1.DeploymentProgressing)
	if !p.deadline() {
		p.remove(appsv1.DeploymentProgressing)
	} else if !(now.Replicas == now.UpdatedReplicas && current != nil && current.Reason == "NewReplicaSetAvailable") {
		p.judge(before, current)
	}
	p.replicaFailure()
}

// judge sets the Progressing condition.
func (p *planner) judge(before *appsv1.DeploymentStatus, current *appsv1.DeploymentCondition) {
	what := fmt.Sprintf("Deployment %q", p.d.Name)
	if p.fresh != nil {
		what = fmt.Sprintf("ReplicaSet %q", p.fresh.Name)
	}
	switch {
	case p.complete(&p.d.Status):
		p.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetAvailable", what+" has successfully progressed.")
	case progressed(before, &p.d.Status):
		// Unlike the others, this one is written even if it is there already: its time is what the deadline counts from.
		if current != nil {
			p.remove(appsv1.DeploymentProgressing)
		}
		p.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", what+" is progressing.")
		if current != nil && current.Status == corev1.ConditionTrue {
			condition(&p.d.Status, appsv1.DeploymentProgressing).LastTransitionTime = current.LastTransitionTime
		}
	case p.timedOut(current):
		p.set(appsv1.DeploymentProgressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", what+" has timed out progressing.")
	}
}

// complete says whether all replicas are of the present template and available, and nothing else runs.
func (p *planner) complete(s *appsv1.DeploymentStatus) bool {
	want := *p.d.Spec.Replicas
	return s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want && s.ObservedGeneration >= p.d.Generation
}

// progressed says whether anything moved: more new pods, fewer old ones, more ready or more available.
func progressed(before, now *appsv1.DeploymentStatus) bool {
	return now.UpdatedReplicas > before.UpdatedReplicas ||
		now.Replicas-now.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		now.ReadyReplicas > before.ReadyReplicas ||
		now.AvailableReplicas > before.AvailableReplicas
}

// timedOut says whether the last progress is longer ago than the deadline. What has succeeded once does not fail afterwards.
func (p *planner) timedOut(c *appsv1.DeploymentCondition) bool {
	switch {
	case c == nil || c.Reason == "NewReplicaSetAvailable":
		return false
	case c.Reason == "ProgressDeadlineExceeded":
		return true
	}
	return p.now.After(p.due(c))
}

func (p *planner) due(c *appsv1.DeploymentCondition) time.Time {
	return c.LastUpdateTime.Add(time.Duration(*p.d.Spec.ProgressDeadlineSeconds) * time.Second)
}

// deadline says whether progress is watched at all.
func (p *planner) deadline() bool { return limited(p.d.Spec.ProgressDeadlineSeconds) }

// emitDeadline asks for a look just after the deadline, because a rollout that hangs wakes nobody.
func (p *planner) emitDeadline() {
	c := condition(&p.d.Status, appsv1.DeploymentProgressing)
	if !p.deadline() || c == nil || p.d.Spec.Paused || p.complete(&p.d.Status) {
		return
	}
	if c.Reason == "ProgressDeadlineExceeded" || c.Reason == "NewReplicaSetAvailable" {
		return // over already, or not running
	}
	after := max(p.due(c).Sub(p.now), 0) + time.Second
	p.plan.Wait(after, "if nothing moves until then, the progress deadline of %ds is over", *p.d.Spec.ProgressDeadlineSeconds)
}

// notePause says in the Progressing condition that the deployment was paused or resumed.
func (p *planner) notePause() {
	c := condition(&p.d.Status, appsv1.DeploymentProgressing)
	if !p.deadline() || c != nil && c.Reason == "ProgressDeadlineExceeded" {
		return
	}
	noted := c != nil && c.Reason == "DeploymentPaused"
	switch {
	case p.d.Spec.Paused && !noted:
		p.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentPaused", "Deployment is paused")
	case !p.d.Spec.Paused && noted:
		p.set(appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentResumed", "Deployment is resumed")
	}
}

// replicaFailure hands on what the sets report: the new one's failure, or else any other's.
func (p *planner) replicaFailure() {
	sets := p.all
	if p.fresh != nil {
		sets = append([]*set{p.fresh}, p.all...)
	}
	for _, s := range sets {
		for _, c := range s.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				p.put(appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
					LastTransitionTime: c.LastTransitionTime, LastUpdateTime: c.LastTransitionTime,
				})
				return
			}
		}
	}
	p.remove(appsv1.DeploymentReplicaFailure)
}

func condition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

func (p *planner) set(t appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	now := metav1.NewTime(p.now)
	p.put(appsv1.DeploymentCondition{Type: t, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now})
}

// put sets a condition. One with the same status and reason stays as it is, its times included.
func (p *planner) put(c appsv1.DeploymentCondition) {
	if was := condition(&p.d.Status, c.Type); was != nil {
		if was.Status == c.Status && was.Reason == c.Reason {
			return
		}
		if was.Status == c.Status {
			c.LastTransitionTime = was.LastTransitionTime
		}
	}
	p.remove(c.Type)
	p.d.Status.Conditions = append(p.d.Status.Conditions, c)
}

func (p *planner) remove(t appsv1.DeploymentConditionType) {
	p.d.Status.Conditions = slices.DeleteFunc(slices.Clone(p.d.Status.Conditions), func(c appsv1.DeploymentCondition) bool { return c.Type == t })
}

// story is the reason of a status update: what is new in it.
func (p *planner) story() string {
	s := &p.d.Status
	text := fmt.Sprintf("%d of %d replicas updated, %d available", s.UpdatedReplicas, *p.d.Spec.Replicas, s.AvailableReplicas)
	for _, c := range s.Conditions {
		was := condition(&p.deployment.Status, c.Type)
		if was == nil || !equality.Semantic.DeepEqual(*was, c) {
			text += fmt.Sprintf("; %s is %s, %s", c.Type, c.Status, c.Reason)
		}
	}
	return text
}

// failedCreate is why the last attempt to make a ReplicaSet failed.
func failedCreate(f *reconcile.Failure) error {
	return reconcile.FailedTo[*appsv1.ReplicaSet](f, reconcile.Create)
}
