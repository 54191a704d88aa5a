// Package storageprotection keeps storage that is in use from going away. A claim, a volume or a volume attributes class has a finalizer
// from its creation on, which the API server gives it; one that is deleted stays until nothing uses it, and then this controller
// takes the finalizer away:
//
//	claim                     while a pod on a node mounts it; a pod that waits for a node is told that the claim is going
//	volume                    while it is bound to a claim
//	volume attributes class   while a claim or a volume has it, wants it or is being given it
//
// Upstream has three controllers for that. They are one rule, with another answer to who is a user.
package storageprotection

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/utils/ptr"

	"golang.org/x/sync/errgroup"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

// Run runs the three loops until the context ends.
func Run(ctx context.Context, c Config) error {
	core := c.Informers.Core().V1()
	claims, volumes, pods := core.PersistentVolumeClaims(), core.PersistentVolumes(), core.Pods().Informer()
	classes := c.Informers.Storage().V1().VolumeAttributesClasses()
	if err := reconcile.Index(pods, byClaim, claimsOf); err != nil {
		return err
	}
	own := func(i cache.SharedIndexInformer) reconcile.Source {
		return reconcile.Source{Informer: i, Keys: reconcile.Self}
	}
	loops := []*reconcile.Loop[state]{
		{
			Name: "pvc-protection-controller", Queue: "pvcprotection",
			Kinds: []reconcile.Resource{reconcile.For(claims.Informer(), func(ns string) reconcile.Client[*corev1.PersistentVolumeClaim] {
				return c.Client.CoreV1().PersistentVolumeClaims(ns)
			})},
			Sources: []reconcile.Source{own(claims.Informer()), {Informer: pods, Keys: keysOf, Changed: never}},
			Observe: observe("kubernetes.io/pvc-protection",
				func(k reconcile.Key) (reconcile.Object, error) {
					return claims.Lister().PersistentVolumeClaims(k.Namespace).Get(k.Name)
				}, podOf(pods, c.Client)),
		}, {
			Name: "pv-protection-controller", Queue: "pvprotection",
			Kinds: []reconcile.Resource{reconcile.For(volumes.Informer(), func(string) reconcile.Client[*corev1.PersistentVolume] {
				return c.Client.CoreV1().PersistentVolumes()
			})},
			Sources: []reconcile.Source{own(volumes.Informer())},
			Observe: observe("kubernetes.io/pv-protection",
				func(k reconcile.Key) (reconcile.Object, error) { return volumes.Lister().Get(k.Name) }, bound),
		}, {
			Name: "volumeattributesclass-protection-controller", Queue: "vacprotection",
			Kinds: []reconcile.Resource{reconcile.For(classes.Informer(), func(string) reconcile.Client[*storagev1.VolumeAttributesClass] {
				return c.Client.StorageV1().VolumeAttributesClasses()
			})},
			Sources: []reconcile.Source{own(classes.Informer()), {Informer: claims.Informer(), Keys: classesOf}, {Informer: volumes.Informer(), Keys: classesOf}},
			Observe: observe("kubernetes.io/vac-protection",
				func(k reconcile.Key) (reconcile.Object, error) { return classes.Lister().Get(k.Name) }, holderOf(claims.Lister(), volumes.Lister())),
		},
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, loop := range loops {
		loop.Env, loop.Plan = c.Env, plan
		all.Go(func() error { return loop.Run(ctx) })
	}
	return all.Wait()
}

// never is for a source of which only appearing and going matter.
func never(_, _ reconcile.Object) bool { return false }

// observe reads an object and asks who uses it, if that matters.
func observe(finalizer string, get func(reconcile.Key) (reconcile.Object, error), user func(context.Context, reconcile.Object) (string, error)) func(context.Context, reconcile.Key, *reconcile.Failure) (state, bool, error) {
	return func(ctx context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
		s.finalizer = finalizer
		if s.object, err = get(key); err != nil {
			return s, false, nil
		}
		if s.object.GetDeletionTimestamp() != nil {
			s.user, err = user(ctx, s.object)
		}
		return s, true, err
	}
}

// byClaim indexes pods on nodes by the claims that they mount.
const byClaim = "storageprotection.claim"

func claimsOf(o reconcile.Object) (out []string) {
	for _, k := range keysOf(o) {
		out = append(out, k.String())
	}
	return out
}

// keysOf are the claims that a pod names, itself or by what is made for it.
func keysOf(o reconcile.Object) (out []reconcile.Key) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil
	}
	for i := range pod.Spec.Volumes {
		switch v := &pod.Spec.Volumes[i]; {
		case v.PersistentVolumeClaim != nil:
			out = append(out, reconcile.Key{Namespace: pod.Namespace, Name: v.PersistentVolumeClaim.ClaimName})
		case v.Ephemeral != nil:
			out = append(out, reconcile.Key{Namespace: pod.Namespace, Name: ephemeral.VolumeClaimName(pod, v)})
		}
	}
	return out
}

// podOf names a pod on a node that mounts the claim. If the cache has none, the API server is asked: a pod may have been bound a moment
// ago, and its data must not go.
func podOf(pods cache.SharedIndexInformer, client kubernetes.Interface) func(context.Context, reconcile.Object) (string, error) {
	return func(ctx context.Context, o reconcile.Object) (string, error) {
		claim := o.(*corev1.PersistentVolumeClaim)
		found, err := reconcile.Indexed[*corev1.Pod](pods, byClaim, reconcile.KeyOf(claim).String())
		if user := userAmong(found, claim); err != nil || user != "" {
			return user, err
		}
		list, err := client.CoreV1().Pods(claim.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		found = nil
		for i := range list.Items {
			found = append(found, &list.Items[i])
		}
		return userAmong(found, claim), nil
	}
}

func userAmong(pods []*corev1.Pod, claim *corev1.PersistentVolumeClaim) string {
	for _, pod := range pods {
		if pod.Spec.NodeName != "" && mounts(pod, claim) {
			return fmt.Sprintf("pod %s on node %s", pod.Name, pod.Spec.NodeName)
		}
	}
	return ""
}

// mounts tells whether a pod names a claim. One of the name that would be made for the pod, and was not, is not the pod's.
func mounts(pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) bool {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name {
			return true
		}
		if v.Ephemeral != nil && ephemeral.VolumeClaimName(pod, v) == claim.Name && ephemeral.VolumeIsForPod(pod, claim) == nil {
			return true
		}
	}
	return false
}

// bound names the claim of a bound volume.
func bound(_ context.Context, o reconcile.Object) (string, error) {
	v := o.(*corev1.PersistentVolume)
	if v.Status.Phase != corev1.VolumeBound {
		return "", nil
	}
	ref := ptr.Deref(v.Spec.ClaimRef, corev1.ObjectReference{})
	return fmt.Sprintf("claim %s/%s", ref.Namespace, ref.Name), nil
}

// classesOf are the volume attributes classes that a claim or a volume has to do with.
func classesOf(o reconcile.Object) (out []reconcile.Key) {
	var names []string
	switch t := o.(type) {
	case *corev1.PersistentVolume:
		names = append(names, ptr.Deref(t.Spec.VolumeAttributesClassName, ""))
	case *corev1.PersistentVolumeClaim:
		names = append(names, ptr.Deref(t.Spec.VolumeAttributesClassName, ""), ptr.Deref(t.Status.CurrentVolumeAttributesClassName, ""))
		if m := t.Status.ModifyVolumeStatus; m != nil {
			names = append(names, m.TargetVolumeAttributesClassName)
		}
	}
	for _, name := range names {
		if name != "" {
			out = append(out, reconcile.Key{Name: name})
		}
	}
	return out
}

// holderOf names a claim or a volume that has to do with the class. It is asked only while one is being deleted, so it tries all.
func holderOf(claims corelisters.PersistentVolumeClaimLister, volumes corelisters.PersistentVolumeLister) func(context.Context, reconcile.Object) (string, error) {
	return func(_ context.Context, class reconcile.Object) (string, error) {
		allClaims, err := claims.List(labels.Everything())
		if err != nil {
			return "", err
		}
		allVolumes, err := volumes.List(labels.Everything())
		if err != nil {
			return "", err
		}
		for _, c := range allClaims {
			if has(c, class) {
				return fmt.Sprintf("claim %s/%s", c.Namespace, c.Name), nil
			}
		}
		for _, v := range allVolumes {
			if has(v, class) {
				return "volume " + v.Name, nil
			}
		}
		return "", nil
	}
}

func has(o, class reconcile.Object) bool {
	for _, k := range classesOf(o) {
		if k.Name == class.GetName() {
			return true
		}
	}
	return false
}
