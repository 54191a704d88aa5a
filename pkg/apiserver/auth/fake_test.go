package auth

import (
	"context"

	"bonsai/pkg/resource"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// objects is a Getter; keys are "resource/namespace/name".
type objects map[string]resource.Object

func (o objects) Get(_ context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	if obj, ok := o[r.String()+"/"+namespace+"/"+name]; ok {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(r, name)
}

func (o objects) PodsOn(_ context.Context, node string) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	for _, obj := range o {
		if p, ok := obj.(*corev1.Pod); ok && p.Spec.NodeName == node {
			pods = append(pods, p)
		}
	}
	return pods, nil
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name + "-uid")}
}

// cluster has a pod web on node oak and a pod db on node elm, each with a secret, a config map and a service account
// of its own.
func cluster() objects {
	o := objects{}
	for pod, node := range map[string]string{"web": "oak", "db": "elm"} {
		p := &corev1.Pod{ObjectMeta: meta("shop", pod), Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: pod + "-sa",
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: pod + "-pull"}},
			Volumes: []corev1.Volume{
				{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: pod + "-secret"}}},
				{Name: "c", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: pod + "-claim"}}},
			},
			Containers: []corev1.Container{{Name: "c", EnvFrom: []corev1.EnvFromSource{
				{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: pod + "-config"}}},
			}}},
		}}
		o["pods/shop/"+pod] = p
		o["serviceaccounts/shop/"+pod+"-sa"] = &corev1.ServiceAccount{ObjectMeta: meta("shop", pod+"-sa")}
		o["secrets/shop/"+pod+"-secret"] = &corev1.Secret{ObjectMeta: meta("shop", pod+"-secret")}
		o["nodes//"+node] = &corev1.Node{ObjectMeta: meta("", node)}
		o["persistentvolumes//"+pod+"-volume"] = &corev1.PersistentVolume{ObjectMeta: meta("", pod+"-volume"), Spec: corev1.PersistentVolumeSpec{
			ClaimRef: &corev1.ObjectReference{Namespace: "shop", Name: pod + "-claim"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				NodePublishSecretRef:       &corev1.SecretReference{Namespace: "storage", Name: pod + "-mount"},
				ControllerPublishSecretRef: &corev1.SecretReference{Namespace: "storage", Name: pod + "-attach"}}}}}
		o["persistentvolumeclaims/shop/"+pod+"-claim"] = &corev1.PersistentVolumeClaim{ObjectMeta: meta("shop", pod+"-claim"),
			Spec: corev1.PersistentVolumeClaimSpec{VolumeName: pod + "-volume"}}
		o["podcertificaterequests.certificates.k8s.io/shop/"+pod] = &certificatesv1.PodCertificateRequest{ObjectMeta: meta("shop", pod),
			Spec: certificatesv1.PodCertificateRequestSpec{NodeName: types.NodeName(node)}}
	}
	// The volume that this claim says it has says that it is another's.
	thief := o["pods/shop/web"].(*corev1.Pod)
	thief.Spec.Volumes = append(thief.Spec.Volumes, corev1.Volume{VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "thief"}}})
	o["persistentvolumeclaims/shop/thief"] = &corev1.PersistentVolumeClaim{ObjectMeta: meta("shop", "thief"),
		Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "db-volume"}}
	// A node may have made this one itself.
	o["pods/shop/static"] = &corev1.Pod{ObjectMeta: meta("shop", "static"), Spec: corev1.PodSpec{NodeName: "oak",
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "db-pull"}}}}
	o["pods/shop/static"].SetAnnotations(map[string]string{corev1.MirrorPodAnnotationKey: "h"})
	return o
}
