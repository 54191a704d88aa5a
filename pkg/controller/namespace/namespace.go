// Package namespace empties namespaces that are being deleted. A deleted namespace stays, Terminating, because of the
// finalizer in its spec; this controller deletes all that is in it, of whatever kind the API server has, and then takes the
// finalizer away.
//
// Pods go first, and everything else only when they are gone: a pod that ends may still need its secrets, its service account or
// its network policies. What is left, and which finalizers hold it, is told in the namespace's conditions.
//
// The state is read from the API server and not from caches, because it is about kinds that nobody here watches. A turn
// deletes what is not being deleted yet and looks again at once; when all that is left is on its way out, it looks again when a
// pod goes, or after some seconds.
package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
	// Metadata lists and deletes objects of any kind.
	Metadata metadata.Interface
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	core := c.Informers.Core().V1()
	o := observer{core.Namespaces().Lister(), c.Client.Discovery(), c.Metadata}
	loop := &reconcile.Loop[state]{
		Env:     c.Env,
		Name:    "namespace-controller",
		Queue:   "namespace",
		Workers: 5,
		Kinds: []reconcile.Resource{
			namespaces{core.Namespaces().Informer(), c.Client},
			content{c.Metadata},
		},
		Sources: []reconcile.Source{
			{Informer: core.Namespaces().Informer(), Keys: reconcile.Self},
			{Informer: core.Pods().Informer(), Keys: o.ofPod, Changed: never},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// never is for a source of which only appearing and going matter.
func never(_, _ reconcile.Object) bool { return false }

type observer struct {
	namespaces corelisters.NamespaceLister
	discovery  discovery.DiscoveryInterface
	metadata   metadata.Interface
}

// ofPod is the pod's namespace, if it is being deleted.
func (o observer) ofPod(pod reconcile.Object) []reconcile.Key {
	ns, err := o.namespaces.Get(pod.GetNamespace())
	if err != nil || ns.DeletionTimestamp == nil {
		return nil
	}
	return []reconcile.Key{reconcile.KeyOf(ns)}
}

// observe lists what is in the namespace, if it is being deleted.
func (o observer) observe(ctx context.Context, key reconcile.Key, last *reconcile.Failure) (s state, found bool, err error) {
	s.namespace, err = o.namespaces.Get(key.Name)
	if err != nil || s.namespace.DeletionTimestamp == nil || len(s.namespace.Spec.Finalizers) == 0 {
		return s, false, nil
	}
	if last != nil && (content{}).Handles(last.Action.Object) {
		s.failure = fmt.Errorf("%s %s: %w", last.Action.Verb, last.Action.Target(), last.Err)
	}
	lists, err := discovery.ServerPreferredNamespacedResources(o.discovery)
	if failed := (*discovery.ErrGroupDiscoveryFailed)(nil); errors.As(err, &failed) {
		s.undiscovered = failed
	} else if err != nil {
		return s, false, err
	}
	for _, list := range lists {
		if err := o.collect(ctx, &s, key.Name, list); err != nil {
			return s, false, err
		}
	}
	return s, true, nil
}

// collect adds what there is of one group's kinds.
func (o observer) collect(ctx context.Context, s *state, namespace string, list *metav1.APIResourceList) error {
	gv, err := schema.ParseGroupVersion(list.GroupVersion)
	if err != nil {
		return err
	}
	for _, r := range list.APIResources {
		if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "delete") {
			continue
		}
		found, err := o.metadata.Resource(gv.WithResource(r.Name)).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			continue // it was served a moment ago, and is not any more
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", r.Name, err)
		}
		if len(found.Items) > 0 {
			s.content = append(s.content, kind{gv.WithResource(r.Name), r.Kind, slices.Contains(r.Verbs, "deletecollection"), found.Items})
		}
	}
	return nil
}

// namespaces writes namespaces. An update is one of the finalize subresource: nothing else of a namespace is changed here.
type namespaces struct {
	informer cache.SharedIndexInformer
	client   kubernetes.Interface
}

func (n namespaces) Handles(o reconcile.Object) bool     { _, ok := o.(*corev1.Namespace); return ok }
func (n namespaces) Informer() cache.SharedIndexInformer { return n.informer }

// Write sends the action to the server.
func (n namespaces) Write(ctx context.Context, a reconcile.Action) (reconcile.Object, error) {
	write, ns := n.client.CoreV1().Namespaces().Finalize, a.Object.(*corev1.Namespace)
	if a.Verb == reconcile.UpdateStatus {
		write = n.client.CoreV1().Namespaces().UpdateStatus
	}
	written, err := write(ctx, ns, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // finalized by another
	}
	if err != nil {
		return nil, err
	}
	return written, nil
}

// content deletes objects of any kind. One without a name stands for all of its kind in the namespace.
type content struct {
	metadata metadata.Interface
}

// object is what content deletes: metadata, and where it is served.
type object struct {
	*metav1.PartialObjectMetadata
	resource schema.GroupVersionResource
}

func (c content) Handles(o reconcile.Object) bool     { _, ok := o.(object); return ok }
func (c content) Informer() cache.SharedIndexInformer { return nil }

// Write sends the action to the server.
func (c content) Write(ctx context.Context, a reconcile.Action) (reconcile.Object, error) {
	o := a.Object.(object)
	client := c.metadata.Resource(o.resource).Namespace(o.Namespace)
	if o.Name == "" {
		return nil, client.DeleteCollection(ctx, a.Options, metav1.ListOptions{})
	}
	return nil, client.Delete(ctx, o.Name, reconcile.DeleteOptions(a))
}
