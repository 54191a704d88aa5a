package admission

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/pkg/apiserver/auth"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	defaultAccount = "default"
	tokenVolume    = "kube-api-access-"
	tokenPath      = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenSeconds is an hour and seven seconds; upstream's odd number, by which one knows who asked for it.
	tokenSeconds = 60*60 + 7
	// A namespace's default account is made by a controller right after the namespace: look again this often.
	accountLooks = 10
	accountWait  = 150 * time.Millisecond
)

// ServiceAccount gives each new pod an account, and its containers the account's token, the cluster's certificate and
// the namespace's name.
type ServiceAccount struct{ deps Deps }

// Name is upstream's.
func (ServiceAccount) Name() string { return "ServiceAccount" }

// Admit fills in the pod. What the account does not allow is refused here already, before anything else is found wrong with the pod.
func (p ServiceAccount) Admit(ctx context.Context, a *Attributes) error {
	if !a.is("pods") || a.Operation != Create {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.wrongType(p.Name())
	}
	if isMirror(pod) {
		return mirrorNeedsNothing(a, pod)
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = pod.Spec.DeprecatedServiceAccount
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	sa, err := p.account(ctx, a.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return a.forbidden("error looking up service account %s/%s: %w", a.Namespace, pod.Spec.ServiceAccountName, err)
	}
	if automounts(sa, pod) {
		p.mountToken(pod)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, sa.ImagePullSecrets...)
	}
	return limitSecrets(a, sa, func() string { return secretsBeyond(sa, pod) })
}

// Validate holds mirror pods, which their kubelet starts without asking, to need nothing from the API; and other pods to the secrets
// of their account, if the account wants that.
func (p ServiceAccount) Validate(ctx context.Context, a *Attributes) error {
	created, debugged := a.is("pods") && a.Operation == Create, a.is("pods/ephemeralcontainers") && a.Operation == Update
	if !created && !debugged {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	switch {
	case !ok:
		return a.wrongType(p.Name())
	case created && isMirror(pod):
		return mirrorNeedsNothing(a, pod)
	case pod.Spec.ServiceAccountName == "":
		return a.forbidden("no service account specified for pod %s/%s", a.Namespace, pod.Name)
	}
	sa, err := p.account(ctx, a.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return a.forbidden("error looking up service account %s/%s: %w", a.Namespace, pod.Spec.ServiceAccountName, err)
	}
	if debugged {
		return limitSecrets(a, sa, func() string { return secretsOfContainers(sa, debugContainers(pod)) })
	}
	return limitSecrets(a, sa, func() string { return secretsBeyond(sa, pod) })
}

// limitSecrets refuses what is beyond the secrets of an account that holds its pods to them.
func limitSecrets(a *Attributes, sa *corev1.ServiceAccount, beyond func() string) error {
	if enforces, _ := strconv.ParseBool(sa.Annotations[enforceSecrets]); !enforces {
		return nil
	}
	if what := beyond(); what != "" {
		return a.forbidden("%s", what)
	}
	return nil
}

func mirrorNeedsNothing(a *Attributes, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return a.forbidden("a mirror pod may not reference service accounts")
	}
	if len(auth.Uses(pod)["secrets"]) > 0 {
		return a.forbidden("a mirror pod may not reference secrets")
	}
	for i := range pod.Spec.Volumes {
		if hasToken(&pod.Spec.Volumes[i]) {
			return a.forbidden("a mirror pod may not use ServiceAccountToken volume projections")
		}
	}
	return nil
}

// account looks for the account, and for the default one more than once.
func (p ServiceAccount) account(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	looks := 1
	if name == defaultAccount {
		looks = accountLooks
	}
	for i := range looks {
		if i > 0 {
			p.deps.Wait(ctx, accountWait)
		}
		o, err := p.deps.Get.Get(ctx, schema.GroupResource{Resource: "serviceaccounts"}, namespace, name)
		if err == nil {
			if sa, ok := o.(*corev1.ServiceAccount); ok {
				return sa, nil
			}
		} else if !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, name)
}

// automounts says whether the pod wants a token; the pod's word goes before the account's.
func automounts(sa *corev1.ServiceAccount, pod *corev1.Pod) bool {
	switch {
	case pod.Spec.AutomountServiceAccountToken != nil:
		return *pod.Spec.AutomountServiceAccountToken
	case sa.AutomountServiceAccountToken != nil:
		return *sa.AutomountServiceAccountToken
	}
	return true
}

// mountToken mounts the token into every container that has nothing else at its place. A volume of the token's name is taken for it.
func (p ServiceAccount) mountToken(pod *corev1.Pod) {
	name, there := "", false
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; strings.HasPrefix(v.Name, tokenVolume) {
			name, there = v.Name, true
			break
		}
	}
	if !there {
		name = p.nameVolume(pod)
	}
	mount := corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenPath}
	needed := mountInto(pod.Spec.InitContainers, mount)
	needed = mountInto(pod.Spec.Containers, mount) || needed
	if needed && !there {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: tokenSource()})
	}
}

// nameVolume is the same for all pods of an account, unless one has a volume of that name already.
func (p ServiceAccount) nameVolume(pod *corev1.Pod) string {
	of := pod.Namespace + "/" + pod.Spec.ServiceAccountName
	for {
		name := p.deps.Name(tokenVolume, of)
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }) {
			return name
		}
		of += "/"
	}
}

// mountInto returns whether any container got the mount.
func mountInto(containers []corev1.Container, mount corev1.VolumeMount) (any bool) {
	for i := range containers {
		c := &containers[i]
		if !mounts(c, mount.MountPath) {
			c.VolumeMounts = append(c.VolumeMounts, mount)
			any = true
		}
	}
	return any
}

func mounts(c *corev1.Container, path string) bool {
	for _, m := range c.VolumeMounts {
		if m.MountPath == path {
			return true
		}
	}
	return false
}

func tokenSource() corev1.VolumeSource {
	mode, seconds := corev1.ProjectedVolumeSourceDefaultMode, int64(tokenSeconds)
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}},
		{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
			Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
		}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
		}}},
	}}}
}

func hasToken(v *corev1.Volume) bool {
	if v.Projected == nil {
		return false
	}
	for _, s := range v.Projected.Sources {
		if s.ServiceAccountToken != nil {
			return true
		}
	}
	return false
}
