package deployment

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/dump"
	"k8s.io/apimachinery/pkg/util/rand"
)

// The annotations of the history. Upstream's names: kubectl reads and skips them by name.
const (
	revision        = "deployment.kubernetes.io/revision"
	revisionHistory = "deployment.kubernetes.io/revision-history"
	desiredReplicas = "deployment.kubernetes.io/desired-replicas"
	maxReplicas     = "deployment.kubernetes.io/max-replicas"
	rollbackTo      = "deprecated.deployment.rollback.to"
	// historyLength bounds the list of earlier revisions, in characters.
	historyLength = 2000
)

// sameTemplate compares templates but for the hash, which the deployment's own does not have.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// templateHash is upstream's: FNV-1a over a dump of the template and the count of collisions. The dump is of the value: one of a pointer
// says that it is one.
func templateHash(t *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(*t))
	if collisions != nil {
		var b [8]byte
		binary.LittleEndian.PutUint32(b[:], uint32(*collisions))
		h.Write(b[:])
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// renew brings the set of the present template up to date, if it exists: it gets the highest revision, the deployment's annotations and
// minReadySeconds. It says whether it exists.
func (p *planner) renew() bool {
	s := p.fresh
	if s == nil {
		return false
	}
	if p.annotate(s, p.nextRevision()) {
		p.touch(s, fmt.Sprintf("it has the present template, so it is revision %s", s.Annotations[revision]))
	}
	if s.Spec.MinReadySeconds != p.d.Spec.MinReadySeconds {
		s.Spec.MinReadySeconds = p.d.Spec.MinReadySeconds
		p.touch(s, fmt.Sprintf("minReadySeconds is now %d", p.d.Spec.MinReadySeconds))
	}
	p.setRevision(s)
	if p.deadline() && condition(&p.d.Status, appsv1.DeploymentProgressing) == nil {
		p.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "FoundNewReplicaSet", fmt.Sprintf("Found new replica set %q", s.Name))
	}
	return true
}

// add plans the set of a new template, at once with as many replicas as the surge allows. It says whether there is a set to go on with:
// there is none if its name is taken, which is rare: then the count of collisions goes up and changes the hash.
func (p *planner) add() bool {
	hash := templateHash(&p.d.Spec.Template, p.d.Status.CollisionCount)
	s := &set{ReplicaSet: p.newReplicaSet(hash)}
	if p.taken(s.Name) {
		count := int32(1)
		if c := p.d.Status.CollisionCount; c != nil {
			count = *c + 1
		}
		p.d.Status.CollisionCount = &count
		return false
	}
	p.annotate(s, p.nextRevision())
	p.noteSizes(s)
	p.setRevision(s)
	p.fresh = s
	n := p.newSize()
	s.Spec.Replicas = &n
	p.all = append(p.all, s)
	p.touch(s, fmt.Sprintf("no ReplicaSet has the present template; %d of %d replicas fit into the surge", n, *p.d.Spec.Replicas))
	if n > 0 {
		note := p.note(corev1.EventTypeNormal, "ScalingReplicaSet", fmt.Sprintf("Scaled up replica set %s from 0 to %d", s.Name, n))
		s.note = &note
	}
	p.created(s)
	return true
}

// created sets the condition that goes with a new set: that it was made, or why that failed the last time.
func (p *planner) created(s *set) {
	if err := failedCreate(p.failure); err != nil {
		p.set(appsv1.DeploymentProgressing, corev1.ConditionFalse, "ReplicaSetCreateError",
			fmt.Sprintf("Failed to create new replica set %q: %v", s.Name, err))
		return
	}
	if p.deadline() {
		p.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetCreated", fmt.Sprintf("Created new replica set %q", s.Name))
	}
}

func (p *planner) newReplicaSet(hash string) *appsv1.ReplicaSet {
	template := p.d.Spec.Template.DeepCopy()
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	selector := p.d.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            p.d.Name + "-" + hash,
			Namespace:       p.d.Namespace,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(p.d, gvk)},
			Labels:          maps.Clone(template.Labels),
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        new(int32),
			MinReadySeconds: p.d.Spec.MinReadySeconds,
			Selector:        selector,
			Template:        *template,
		},
	}
}

// taken says whether another ReplicaSet of the namespace has the name; none of ours has this template.
func (p *planner) taken(name string) bool {
	for _, rs := range p.replicaSets {
		if rs.Name == name {
			return true
		}
	}
	return false
}

func (p *planner) nextRevision() int64 {
	var highest int64
	for _, s := range p.old {
		highest = max(highest, revisionOf(s))
	}
	return highest + 1
}

// annotate copies the deployment's annotations and raises the revision, and says whether that changed anything. kubectl's
// change-cause is among the copied ones.
func (p *planner) annotate(s *set, next int64) bool {
	before := maps.Clone(s.Annotations)
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	for k, v := range p.d.Annotations {
		if !private(k) {
			s.Annotations[k] = v
		}
	}
	if now, had := s.Annotations[revision]; revisionOf(s) < next {
		s.Annotations[revision] = strconv.FormatInt(next, 10)
		if had {
			s.Annotations[revisionHistory] = remember(s.Annotations[revisionHistory], now)
		}
	}
	return !maps.Equal(before, s.Annotations)
}

// remember appends a revision to a list and drops the first ones of a list that is too long.
func remember(list, revision string) string {
	if list == "" {
		return revision
	}
	list += "," + revision
	for len(list) > historyLength {
		_, list, _ = strings.Cut(list, ",")
	}
	return list
}

// private annotations belong to one object and are not copied.
func private(name string) bool {
	switch name {
	case corev1.LastAppliedConfigAnnotation, revision, revisionHistory, desiredReplicas, maxReplicas, rollbackTo:
		return true
	}
	return false
}

func (p *planner) setRevision(s *set) {
	if p.d.Annotations == nil {
		p.d.Annotations = map[string]string{}
	}
	p.d.Annotations[revision] = s.Annotations[revision]
}

func revisionOf(s *set) int64 {
	n, err := strconv.ParseInt(s.Annotations[revision], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// number reads a count from an annotation.
func number(s *set, annotation string) (int32, bool) {
	n, err := strconv.ParseInt(s.Annotations[annotation], 10, 32)
	return int32(n), err == nil
}
