// Package objects gives the kubelet the config maps and secrets that its pods refer to, and no others.
//
// A node may not list all secrets, and need not: for each object that a pod on it names there is one watch of that
// one object, kept as long as a pod wants it. So a lookup costs nothing after the first, a change reaches the
// pods at once, and nothing is polled. Each change calls back with the pods that refer to the object.
package objects

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// firstWait bounds how long a lookup waits for the first answer about an object.
const firstWait = 10 * time.Second

// key names one object; kind is "configmap" or "secret", as in upstream's not-found message.
type key struct{ kind, namespace, name string }

// watched is one object under watch, with the pods that want it.
type watched struct {
	store  cache.Store
	synced cache.InformerSynced
	pods   sets.Set[types.UID]
	stop   context.CancelFunc
}

// Cache holds the watched objects.
type Cache struct {
	ctx     context.Context
	client  kubernetes.Interface
	changed func(types.UID)

	mu   sync.Mutex
	have map[key]*watched
}

// New makes a cache whose watches end with ctx. changed is called for each pod that refers to an object that changed.
func New(ctx context.Context, client kubernetes.Interface, changed func(types.UID)) *Cache {
	return &Cache{ctx: ctx, client: client, changed: changed, have: map[key]*watched{}}
}

// Want says that the pod needs what its spec refers to: watches begin, if they have not.
func (c *Cache) Want(pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range refs(pod) {
		w := c.have[k]
		if w == nil {
			w = c.watch(k)
			c.have[k] = w
		}
		w.pods.Insert(pod.UID)
	}
}

// Forget ends the pod's interest; an object that no pod wants is no longer watched.
func (c *Cache) Forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, w := range c.have {
		w.pods.Delete(uid)
		if w.pods.Len() == 0 {
			w.stop()
			delete(c.have, k)
		}
	}
}

func (c *Cache) watch(k key) *watched {
	ctx, cancel := context.WithCancel(c.ctx)
	w := &watched{pods: sets.New[types.UID](), stop: cancel}
	tell := func(any) {
		c.mu.Lock()
		pods := w.pods.UnsortedList()
		c.mu.Unlock()
		for _, uid := range pods {
			c.changed(uid)
		}
	}
	var informer cache.Controller
	w.store, informer = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.listWatch(ctx, k),
		ObjectType:    object(k.kind),
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: tell, UpdateFunc: func(_, o any) { tell(o) }, DeleteFunc: tell,
		},
	})
	w.synced = informer.HasSynced
	go informer.RunWithContext(ctx)
	return w
}

func object(kind string) runtime.Object {
	if kind == "secret" {
		return &corev1.Secret{}
	}
	return &corev1.ConfigMap{}
}

func (c *Cache) listWatch(ctx context.Context, k key) cache.ListerWatcher {
	one := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", k.name).String()
	}
	core := c.client.CoreV1()
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(_ context.Context, o metav1.ListOptions) (runtime.Object, error) {
			one(&o)
			if k.kind == "secret" {
				return core.Secrets(k.namespace).List(ctx, o)
			}
			return core.ConfigMaps(k.namespace).List(ctx, o)
		},
		WatchFuncWithContext: func(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
			one(&o)
			if k.kind == "secret" {
				return core.Secrets(k.namespace).Watch(ctx, o)
			}
			return core.ConfigMaps(k.namespace).Watch(ctx, o)
		},
	}, c.client)
}

// ConfigMap returns one of a pod's config maps.
func (c *Cache) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	o, err := c.get(key{"configmap", namespace, name})
	if err != nil {
		return nil, err
	}
	return o.(*corev1.ConfigMap), nil
}

// Secret returns one of a pod's secrets.
func (c *Cache) Secret(namespace, name string) (*corev1.Secret, error) {
	o, err := c.get(key{"secret", namespace, name})
	if err != nil {
		return nil, err
	}
	return o.(*corev1.Secret), nil
}

func (c *Cache) get(k key) (any, error) {
	c.mu.Lock()
	w := c.have[k]
	c.mu.Unlock()
	if w == nil {
		return nil, fmt.Errorf("object %q/%q not registered", k.namespace, k.name)
	}
	ctx, cancel := context.WithTimeout(c.ctx, firstWait)
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), w.synced) {
		return nil, fmt.Errorf("failed to sync %s cache: timed out waiting for the condition", k.kind)
	}
	o, ok, err := w.store.GetByKey(k.namespace + "/" + k.name)
	if err == nil && !ok {
		err = apierrors.NewNotFound(corev1.Resource(k.kind), k.name)
	}
	return o, err
}
