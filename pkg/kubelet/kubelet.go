package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/kubelet/cgroup"
	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/objects"
	"bonsai/pkg/kubelet/probe"
	"bonsai/pkg/kubelet/spec"
	"bonsai/pkg/kubelet/volume"
)

// relistEvery is how often everything in the runtime is looked at although no event asked for it.
const relistEvery = time.Minute

// kubelet holds what the workers share.
type kubelet struct {
	Config
	runtime     cri.Runtime
	runtimeName string
	node        *spec.Node
	cgroups     *cgroup.Tree
	volumes     *volume.Manager
	objects     *objects.Cache
	services    corelisters.ServiceLister
	probes      *probe.Manager
	runner      *probe.Runner
	images      *puller
	events      *recorder
	writer      *writer

	ctx context.Context
	// admission makes workers ask for room one after the other.
	admission sync.Mutex
	mu        sync.Mutex
	workers   map[types.UID]*worker
	running   sync.WaitGroup
}

// ConfigMap and Secret return an object that one of the pods refers to.
func (k *kubelet) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	return k.objects.ConfigMap(namespace, name)
}

// Secret is documented with ConfigMap.
func (k *kubelet) Secret(namespace, name string) (*corev1.Secret, error) {
	return k.objects.Secret(namespace, name)
}

// Services returns the services of a namespace.
func (k *kubelet) Services(namespace string) ([]*corev1.Service, error) {
	return k.services.Services(namespace).List(labels.Everything())
}

// seen gives a pod that was added or changed to its worker.
func (k *kubelet) seen(pod *corev1.Pod) {
	if pod.Spec.NodeName != k.NodeName {
		return
	}
	k.mu.Lock()
	w := k.workers[pod.UID]
	if w == nil {
		w = k.begin(pod.UID)
	}
	k.mu.Unlock()
	w.set(pod)
}

// vanished tells the worker of a pod that its object is gone.
func (k *kubelet) vanished(pod *corev1.Pod) {
	k.mu.Lock()
	w := k.workers[pod.UID]
	k.mu.Unlock()
	if w != nil {
		w.vanish()
	}
}

// begin starts a worker; k.mu is held.
func (k *kubelet) begin(uid types.UID) *worker {
	w := newWorker(k, uid)
	k.workers[uid] = w
	k.running.Go(func() {
		w.run(k.ctx)
		k.mu.Lock()
		delete(k.workers, uid)
		k.mu.Unlock()
	})
	return w
}

// wake makes the pod's worker look again; "" means all of them.
func (k *kubelet) wake(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if uid != "" {
		if w := k.workers[uid]; w != nil {
			w.wake()
		}
		return
	}
	for _, w := range k.workers {
		w.wake()
	}
}

// refresh makes the pod's worker look again because an object that the pod refers to has changed.
func (k *kubelet) refresh(uid types.UID) {
	k.mu.Lock()
	w := k.workers[uid]
	k.mu.Unlock()
	if w != nil {
		w.retryNow()
	}
}

// handlers feeds the workers from the pod informer.
func (k *kubelet) handlers() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.seen(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { k.seen(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = t.Obj
			}
			if pod, ok := o.(*corev1.Pod); ok {
				k.vanished(pod)
			}
		},
	}
}

// start waits for the API's pods and for the runtime, then looks for what earlier pods have left: in the runtime
// or on the disk, of a pod that the API does not know. Such a pod gets a worker too, which ends and removes it.
func (k *kubelet) start(ctx context.Context) error {
	informer := k.Informers.Core().V1().Pods().Informer()
	handle, err := informer.AddEventHandler(k.handlers())
	if err != nil {
		return err
	}
	k.Informers.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), handle.HasSynced, k.Informers.Core().V1().Services().Informer().HasSynced) {
		return ctx.Err()
	}
	return k.orphans(ctx)
}

func (k *kubelet) orphans(ctx context.Context) error {
	found, err := k.runtime.Pods(ctx)
	if err != nil {
		return fmt.Errorf("look for pods of an earlier run: %w", err)
	}
	dirs, err := os.ReadDir(filepath.Join(k.RootDir, "pods"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, d := range dirs {
		if uid := types.UID(d.Name()); found[uid] == nil {
			found[uid] = &cri.Pod{UID: uid}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for uid := range found {
		if k.workers[uid] == nil {
			k.begin(uid).vanish()
		}
	}
	return nil
}

// follow passes container events on to the workers, and wakes all of them when events may have been missed.
func (k *kubelet) follow(ctx context.Context) {
	tick := time.NewTicker(relistEvery)
	defer tick.Stop()
	broken := make(chan error, 1)
	watch := func() { broken <- k.runtime.Watch(ctx, k.wake) }
	go watch()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.wake("")
		case err := <-broken:
			if ctx.Err() != nil {
				return
			}
			k.Logger.Warn("container events ended; following them again", "error", err)
			time.AfterFunc(time.Second, watch)
		}
	}
}
