package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"

	"bonsai/pkg/kubelet/cri"
)

// The periods: of looking at the runtime, while the node is ready and while it is about to be; of writing a
// status in which nothing changed; of the lease.
const (
	checkReady    = 10 * time.Second
	checkStarting = 50 * time.Millisecond
	checkWaiting  = time.Second
	hurryFor      = 20 * time.Second
	writeAnyway   = 5 * time.Minute
	renewLease    = 10 * time.Second
	leaseSeconds  = 40
)

// Config is what the node's object depends on.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Runtime   cri.Runtime
	Name      string
	IPs       []string
	Labels    map[string]string
	Port      int32
	Version   string
	Facts     Facts
	Events    record.EventRecorder
	Logger    *slog.Logger
}

// Keeper keeps the object.
type Keeper struct {
	Config
	// ranged rings when the node has been given its pod CIDR; cidr is which.
	ranged chan struct{}
	cidr   string
	// last is the object as the API has it, as far as known, and when its status was written.
	last    *corev1.Node
	written time.Time
	// uid is that of the node as it was registered last, for the lease, which another goroutine keeps.
	uid atomic.Value
	// Until hurry the runtime is asked often whether it has a network, because whoever lays it does so as soon as the
	// node has its range; a network that is not there by then will not be there the sooner for being asked.
	hurry time.Time
}

// New registers the informer that the keeper needs. The caller starts the factory after that, then calls Run.
func New(c Config) (*Keeper, error) {
	k := &Keeper{Config: c, ranged: make(chan struct{}, 1)}
	_, err := c.Informers.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.sawNode(o.(*corev1.Node)) },
		UpdateFunc: func(_, o any) { k.sawNode(o.(*corev1.Node)) },
	})
	return k, err
}

// sawNode rings when the node's pod CIDR is a new one. Only the informer's goroutine calls it.
func (k *Keeper) sawNode(n *corev1.Node) {
	if n.Name != k.Name || n.Spec.PodCIDR == k.cidr {
		return
	}
	k.cidr = n.Spec.PodCIDR
	select {
	case k.ranged <- struct{}{}:
	default:
	}
}

// Run registers the node and keeps its status and lease until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.register(ctx); err != nil {
		return err
	}
	go k.lease(ctx)
	k.event(corev1.EventTypeNormal, "Starting", "Starting kubelet.")
	for ctx.Err() == nil {
		ready, err := k.sync(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			k.Logger.Warn("node status not written; trying again", "error", err)
		}
		k.wait(ctx, ready)
	}
	return nil
}

// wait sleeps until the next look.
func (k *Keeper) wait(ctx context.Context, ready bool) {
	pause := checkReady
	if !ready {
		pause = checkWaiting
		if time.Now().Before(k.hurry) {
			pause = checkStarting
		}
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-k.ranged:
		k.hurry = time.Now().Add(hurryFor)
	}
}

// register makes the object, or takes over the one of an earlier run.
func (k *Keeper) register(ctx context.Context) error {
	fresh := k.fresh()
	for {
		made, err := k.Client.CoreV1().Nodes().Create(ctx, fresh, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			made, err = k.adopt(ctx, fresh)
		}
		if err == nil {
			k.last = made
			k.uid.Store(made.UID)
			return nil
		}
		k.Logger.Warn("node not registered; trying again", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// fresh is the object of a new node.
func (k *Keeper) fresh() *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:        k.Name,
		Annotations: map[string]string{"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
		Labels: map[string]string{
			corev1.LabelHostname: k.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: k.Facts.Info.Architecture,
			"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": k.Facts.Info.Architecture,
		},
	}}
	for name, value := range k.Labels {
		n.Labels[name] = value
	}
	k.fill(&n.Status)
	now := metav1.Now().Rfc3339Copy()
	n.Status.Conditions = conditions(nil, "container runtime status is not known yet", now)
	return n
}

// adopt brings the labels of a node that exists up to date.
func (k *Keeper) adopt(ctx context.Context, fresh *corev1.Node) (*corev1.Node, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": fresh.Labels, "annotations": fresh.Annotations}})
	if err != nil {
		return nil, err
	}
	return k.Client.CoreV1().Nodes().Patch(ctx, k.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
}

// lease keeps the node's lease. Its owner is the node as it is now: one that was deleted and registered anew has another
// UID, and the garbage collector would remove the lease of the old one again and again.
func (k *Keeper) lease(ctx context.Context) {
	owner := func(l *coordination) error {
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: k.Name, UID: k.uid.Load().(types.UID)}}
		return nil
	}
	lease.NewController(clock.RealClock{}, k.Client, k.Name, leaseSeconds, nil, renewLease, k.Name, corev1.NamespaceNodeLease, owner).Run(ctx)
}

// sync writes the status if something in it changed, or if it is time to.
func (k *Keeper) sync(ctx context.Context, now time.Time) (ready bool, err error) {
	fault := k.fault(ctx)
	next := k.last.DeepCopy()
	k.fill(&next.Status)
	if images, err := k.images(ctx); err == nil {
		next.Status.Images = images
	}
	next.Status.Conditions = conditions(k.last.Status.Conditions, fault, metav1.NewTime(now).Rfc3339Copy())
	if now.Sub(k.written) < writeAnyway && equal(&k.last.Status, &next.Status) {
		return fault == "", nil
	}
	before, err := json.Marshal(k.last)
	if err != nil {
		return false, err
	}
	after, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Node{})
	if err != nil {
		return false, err
	}
	got, err := k.Client.CoreV1().Nodes().Patch(ctx, k.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return false, k.register(ctx)
	}
	if err != nil {
		return false, err
	}
	k.tellTurns(k.last.Status.Conditions, got.Status.Conditions)
	k.last, k.written = got, now
	return fault == "", nil
}

// equal compares statuses without the times at which conditions were last looked at.
func equal(a, b *corev1.NodeStatus) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, s := range []*corev1.NodeStatus{a, b} {
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return equality.Semantic.DeepEqual(a, b)
}

// fault says why the node is not ready, "" if it is.
func (k *Keeper) fault(ctx context.Context) string {
	s, err := k.Runtime.Status(ctx)
	if err != nil {
		return fmt.Sprintf("[container runtime is down, container runtime status check may not have completed yet: %s]", cri.Message(err))
	}
	for _, c := range s.GetStatus().GetConditions() {
		if c.Status {
			continue
		}
		detail := fmt.Sprintf("%s=false reason:%s message:%s", c.Type, c.Reason, c.Message)
		if c.Type == "NetworkReady" {
			return "container runtime network not ready: " + detail
		}
		if c.Type == "RuntimeReady" {
			return "container runtime not ready: " + detail
		}
	}
	return ""
}

func (k *Keeper) event(kind, reason, message string) {
	k.Events.Event(&corev1.ObjectReference{Kind: "Node", Name: k.Name, UID: types.UID(k.Name)}, kind, reason, message)
}
