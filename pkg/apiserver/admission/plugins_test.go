package admission

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"testing"
	"time"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// The newest of several defaults wins, and of those of one age the first by its name.
func TestDefaultClasses(t *testing.T) {
	storage := func(name string, age int64, annotation string) *storagev1.StorageClass {
		return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(-age, 0), Annotations: map[string]string{annotation: "true"}}}
	}
	const isDefault, wasDefault = "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"
	all := []*storagev1.StorageClass{storage("a", 9, isDefault), storage("b", 3, wasDefault), storage("c", 3, isDefault), storage("d", 1, "other")}
	p := DefaultStorageClass{func(context.Context) ([]*storagev1.StorageClass, error) { return all, nil }}
	for name, tc := range map[string]struct{ class, annotation, want *string }{
		"none":          {nil, nil, ptr.To("b")},
		"no class":      {ptr.To(""), nil, ptr.To("")},
		"own":           {ptr.To("x"), nil, ptr.To("x")},
		"in an old way": {nil, ptr.To("x"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: named("shop", "c"), Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: tc.class}}
			if tc.annotation != nil {
				claim.Annotations = map[string]string{corev1.BetaStorageClassAnnotation: *tc.annotation}
			}
			require.NoError(t, p.Admit(context.Background(), request(Create, "persistentvolumeclaims", claim, nil)))
			require.Equal(t, tc.want, claim.Spec.StorageClassName)
		})
	}
	all = nil
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: named("shop", "c")}
	require.NoError(t, p.Admit(context.Background(), request(Create, "persistentvolumeclaims", claim, nil)))
	require.Nil(t, claim.Spec.StorageClassName)

	g := cluster()
	g["ingressclasses.networking.k8s.io//nginx"] = &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx",
		Annotations: map[string]string{"ingressclass.kubernetes.io/is-default-class": "true"}}}
	ingress := &networkingv1.Ingress{ObjectMeta: named("shop", "i")}
	require.NoError(t, run(t, g, request(Create, "ingresses.networking.k8s.io", ingress, nil)))
	require.Equal(t, "nginx", *ingress.Spec.IngressClassName)
	old := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "i", Annotations: map[string]string{"kubernetes.io/ingress.class": "x"}}}
	require.NoError(t, run(t, g, request(Create, "ingresses.networking.k8s.io", old, nil)))
	require.Nil(t, old.Spec.IngressClassName)
}

func TestStorageIsProtected(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: named("shop", "c")}
	for range 2 {
		require.NoError(t, run(t, cluster(), request(Create, "persistentvolumeclaims", claim, nil)))
		require.Equal(t, []string{"kubernetes.io/pvc-protection"}, claim.Finalizers)
	}
	volume := &corev1.PersistentVolume{ObjectMeta: named("", "v")}
	require.NoError(t, run(t, cluster(), request(Create, "persistentvolumes", volume, nil)))
	require.Equal(t, []string{"kubernetes.io/pv-protection"}, volume.Finalizers)
}

func TestPersistentVolumeClaimResize(t *testing.T) {
	g := cluster()
	g["storageclasses.storage.k8s.io//grows"] = &storagev1.StorageClass{ObjectMeta: named("", "grows"), AllowVolumeExpansion: ptr.To(true)}
	g["storageclasses.storage.k8s.io//stays"] = &storagev1.StorageClass{ObjectMeta: named("", "stays")}
	claim := func(size, class string, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: named("shop", "c"), Status: corev1.PersistentVolumeClaimStatus{Phase: phase},
			Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, Resources: corev1.VolumeResourceRequirements{Requests: amountsOf("storage", size)}}}
	}
	for name, tc := range map[string]struct{ from, to, class, want string }{
		"grows":      {"1Gi", "2Gi", "grows", ""},
		"same":       {"1Gi", "1Gi", "stays", ""},
		"cannot":     {"1Gi", "2Gi", "stays", `persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize`},
		"no class":   {"1Gi", "2Gi", "", `persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize`},
		"class gone": {"1Gi", "2Gi", "ghost", `persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize`},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, tc.want, run(t, g, request(Update, "persistentvolumeclaims", claim(tc.to, tc.class, corev1.ClaimBound), claim(tc.from, tc.class, corev1.ClaimBound))))
		})
	}
	require.EqualError(t, run(t, g, request(Update, "persistentvolumeclaims", claim("2Gi", "grows", ""), claim("1Gi", "grows", corev1.ClaimPending))),
		`persistentvolumeclaims "c" is forbidden: Only bound persistent volume claims can be expanded`)
}

func TestRuntimeClass(t *testing.T) {
	g := cluster()
	g["runtimeclasses.node.k8s.io//vm"] = &nodev1.RuntimeClass{ObjectMeta: named("", "vm"), Overhead: &nodev1.Overhead{PodFixed: amountsOf("cpu", "100m")},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"vm": "yes"}, Tolerations: []corev1.Toleration{{Key: "vm", Operator: corev1.TolerationOpExists}}}}
	g["runtimeclasses.node.k8s.io//plain"] = &nodev1.RuntimeClass{ObjectMeta: named("", "plain")}
	in := func(class string, change func(*corev1.Pod)) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.Spec.RuntimeClassName = &class
			p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
			if change != nil {
				change(p)
			}
		})
	}
	p := in("vm", func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: "vm", Operator: corev1.TolerationOpEqual, Value: "x"}}
	})
	require.NoError(t, run(t, g, request(Create, "pods", p, nil)))
	require.Equal(t, amountsOf("cpu", "100m"), p.Spec.Overhead)
	require.Equal(t, map[string]string{"disk": "ssd", "vm": "yes"}, p.Spec.NodeSelector)
	require.Contains(t, p.Spec.Tolerations, corev1.Toleration{Key: "vm", Operator: corev1.TolerationOpExists})
	require.Len(t, p.Spec.Tolerations, 3, "the class's covers the pod's own")

	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"missing":      {in("ghost", nil), `pod rejected: RuntimeClass "ghost" not found`},
		"own overhead": {in("vm", func(p *corev1.Pod) { p.Spec.Overhead = amountsOf("cpu", "1") }), "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"},
		"overhead of a class without": {in("plain", func(p *corev1.Pod) { p.Spec.Overhead = amountsOf("cpu", "1") }),
			"pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"},
		"overhead without a class": {pod(func(p *corev1.Pod) { p.Spec.Overhead = amountsOf("cpu", "1") }), "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"},
		"other nodes": {in("vm", func(p *corev1.Pod) { p.Spec.NodeSelector["vm"] = "no" }),
			"conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no"},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, `pods "web" is forbidden: `+tc.want, run(t, g, request(Create, "pods", tc.pod, nil)))
		})
	}
}

// may is an authorizer that allows what it lists, as "verb resource/subresource name".
type may []string

func (m may) Authorize(_ context.Context, r auth.Request) (auth.Decision, string, error) {
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	for _, rule := range m {
		if rule == r.Verb+" "+resource+" "+r.Name {
			return auth.Allow, "", nil
		}
	}
	return auth.NoOpinion, "", nil
}

func validate(t *testing.T, p Plugin, a *Attributes) error {
	t.Helper()
	require.NoError(t, p.Admit(context.Background(), a))
	return p.Validate(context.Background(), a)
}

func TestCertificates(t *testing.T) {
	const signer = "example.com/clients"
	csr := func(certificate string) *certificatesv1.CertificateSigningRequest {
		return &certificatesv1.CertificateSigningRequest{ObjectMeta: named("", "r"), Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: signer},
			Status: certificatesv1.CertificateSigningRequestStatus{Certificate: []byte(certificate)}}
	}
	const csrs = "certificatesigningrequests.certificates.k8s.io"
	a := request(Update, csrs, csr(""), csr(""))
	a.Subresource = "approval"
	require.EqualError(t, validate(t, CertificateApproval{may{}}, a), csrs+` "r" is forbidden: user not permitted to approve requests with signerName "example.com/clients"`)
	require.NoError(t, validate(t, CertificateApproval{may{"approve signers example.com/clients"}}, a))
	require.NoError(t, validate(t, CertificateApproval{may{"approve signers example.com/*"}}, a))

	sign := request(Update, csrs, csr("certificate"), csr(""))
	sign.Subresource = "status"
	require.EqualError(t, validate(t, CertificateSigning{may{}}, sign), csrs+` "r" is forbidden: user not permitted to sign requests with signerName "example.com/clients"`)
	require.NoError(t, validate(t, CertificateSigning{may{"sign signers example.com/clients"}}, sign))
	same := request(Update, csrs, csr(""), csr(""))
	same.Subresource = "status"
	require.NoError(t, validate(t, CertificateSigning{may{}}, same))

	bundle := func(pem string, finalizers ...string) *certificatesv1.ClusterTrustBundle {
		b := &certificatesv1.ClusterTrustBundle{ObjectMeta: named("", "b"), Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: pem}}
		b.Finalizers = finalizers
		return b
	}
	const bundles = "clustertrustbundles.certificates.k8s.io"
	require.EqualError(t, validate(t, ClusterTrustBundleAttest{may{}}, request(Create, bundles, bundle("x"), nil)), bundles+` "b" is forbidden: user not permitted to attest for signerName "example.com/clients"`)
	require.NoError(t, validate(t, ClusterTrustBundleAttest{may{"attest signers example.com/*"}}, request(Create, bundles, bundle("x"), nil)))
	require.NoError(t, validate(t, ClusterTrustBundleAttest{may{}}, request(Update, bundles, bundle("x"), bundle("x", "f"))))
	require.Error(t, validate(t, ClusterTrustBundleAttest{may{}}, request(Update, bundles, bundle("y"), bundle("x"))))
}

func TestCertificateSubject(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	asks := func(signer string, groups ...string) *Attributes {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x", Organization: groups}}, key)
		require.NoError(t, err)
		return request(Create, "certificatesigningrequests.certificates.k8s.io", &certificatesv1.CertificateSigningRequest{ObjectMeta: named("", "r"),
			Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: signer, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}}, nil)
	}
	require.NoError(t, run(t, cluster(), asks("kubernetes.io/kube-apiserver-client", "devs")))
	require.NoError(t, run(t, cluster(), asks("example.com/other", "system:masters")))
	require.EqualError(t, run(t, cluster(), asks("kubernetes.io/kube-apiserver-client", "devs", "system:masters")),
		`certificatesigningrequests.certificates.k8s.io "r" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`)
}

func TestPodTopologyLabels(t *testing.T) {
	g := cluster()
	g["nodes//oak"] = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "oak", Labels: map[string]string{
		"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r", "other": "x"}}}
	want := map[string]string{"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r"}
	b := &corev1.Binding{ObjectMeta: named("shop", "web"), Target: corev1.ObjectReference{Kind: "Node", Name: "oak"}}
	require.NoError(t, run(t, g, request(Create, "pods/binding", b, nil)))
	require.Equal(t, want, b.Labels)
	p := pod(func(p *corev1.Pod) { p.Spec.NodeName = "oak" })
	require.NoError(t, run(t, g, request(Create, "pods", p, nil)))
	require.Equal(t, want, p.Labels)
	b = &corev1.Binding{ObjectMeta: named("shop", "web"), Target: corev1.ObjectReference{Kind: "Node", Name: "ghost"}}
	require.NoError(t, run(t, g, request(Create, "pods/binding", b, nil)))
	require.Empty(t, b.Labels)
}

func TestPodResizeValidator(t *testing.T) {
	g := cluster()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "oak", Labels: map[string]string{"kubernetes.io/os": "linux"}},
		Status: corev1.NodeStatus{Allocatable: amountsOf("cpu", "2", "memory", "1Gi")}}
	g["nodes//oak"] = node
	on := func(generation int64, requests corev1.ResourceList) *corev1.Pod {
		p := asks(requests, nil)
		p.Generation, p.Spec.NodeName = generation, "oak"
		return p
	}
	old := on(1, amountsOf("cpu", "1"))
	require.NoError(t, run(t, g, request(Update, "pods/resize", on(2, amountsOf("cpu", "2")), old)))
	require.NoError(t, run(t, g, request(Update, "pods/resize", on(1, amountsOf("cpu", "5")), old)))
	require.EqualError(t, run(t, g, request(Update, "pods/resize", on(2, amountsOf("cpu", "5", "memory", "2Gi")), old)),
		`pods "web" is forbidden: Node didn't have enough allocatable resources: cpu, requested: 5000, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824`)
	node.Labels["kubernetes.io/os"] = "windows"
	require.EqualError(t, run(t, g, request(Update, "pods/resize", on(2, amountsOf("cpu", "2")), old)),
		`pods "web" is forbidden: pod resize is only supported on linux nodes, node "oak" is "windows"`)
}

func TestServiceAccountSecrets(t *testing.T) {
	g := cluster()
	sa := g["serviceaccounts/shop/default"].(*corev1.ServiceAccount)
	sa.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "true"}
	sa.Secrets = []corev1.ObjectReference{{Name: "mine"}}
	env := func(secret string) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}}
	}
	const end = ` is not allowed because service account default does not reference that `
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"none": {nil, ""},
		"own":  {func(p *corev1.Pod) { p.Spec.Containers[0].Env = env("mine") }, ""},
		"a volume": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "theirs"}}}}
		}, `volume with secret.secretName="theirs"` + end + "secret"},
		"a variable": {func(p *corev1.Pod) { p.Spec.Containers[0].Env = env("theirs") }, `container a with envVar E referencing secret.secretName="theirs"` + end + "secret"},
		"many variables": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "theirs"}}}}}}
		}, `init container i with envFrom referencing secret.secretName="theirs"` + end + "secret"},
		"for pulling": {func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "theirs"}} }, `imagePullSecrets[0].name="theirs"` + end + "imagePullSecret"},
	} {
		t.Run(name, func(t *testing.T) {
			want := tc.want
			if want != "" {
				want = `pods "web" is forbidden: ` + want
			}
			check(t, want, run(t, g, request(Create, "pods", pod(tc.change), nil)))
		})
	}
	debugged := pod(func(p *corev1.Pod) {
		p.Spec.ServiceAccountName = "default"
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d", Env: env("theirs")}}}
	})
	require.EqualError(t, run(t, g, request(Update, "pods/ephemeralcontainers", debugged, pod(nil))),
		`pods "web" is forbidden: ephemeral container d with envVar E referencing secret.secretName="theirs"`+end+"secret")
}

func TestOwnerReferences(t *testing.T) {
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	owned := func(block bool) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "set", UID: "u", BlockOwnerDeletion: &block}}
		})
	}
	for name, tc := range map[string]struct {
		m    may
		a    *Attributes
		want string
	}{
		"made with an owner":       {nil, request(Create, "pods", owned(false), nil), ""},
		"given an owner":           {nil, request(Update, "pods", owned(false), pod(nil)), "cannot set an ownerRef on a resource you can't delete: , <nil>"},
		"given one by who may":     {may{"delete pods web"}, request(Update, "pods", owned(false), pod(nil)), ""},
		"unchanged":                {nil, request(Update, "pods", owned(true), owned(true)), ""},
		"blocks":                   {nil, request(Create, "pods", owned(true), nil), "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>"},
		"blocks, and may":          {may{"update replicasets/finalizers set"}, request(Create, "pods", owned(true), nil), ""},
		"blocks, and may all":      {may{"update */finalizers *"}, request(Create, "pods", owned(true), nil), ""},
		"begins to block, and may": {may{"delete pods web", "update replicasets/finalizers set"}, request(Update, "pods", owned(true), owned(false)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := tc.want
			if want != "" {
				want = `pods "web" is forbidden: ` + want
			}
			p := OwnerReferencesPermissionEnforcement{Deps{Authorizer: tc.m, Kinds: table.ByKind}}
			check(t, want, validate(t, p, tc.a))
		})
	}
}

func TestResourceQuotaRefuses(t *testing.T) {
	g := cluster()
	q := &corev1.ResourceQuota{ObjectMeta: named("shop", "q")}
	q.Spec.Hard, q.Status.Hard, q.Status.Used = amountsOf("pods", "1", "count/secrets", "1"), amountsOf("pods", "1", "count/secrets", "1"), amountsOf("pods", "1", "count/secrets", "0")
	g["resourcequotas/shop/q"] = q
	require.EqualError(t, run(t, g, request(Create, "pods", pod(nil), nil)), `pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1`)
	require.NoError(t, run(t, g, request(Create, "secrets", &corev1.Secret{ObjectMeta: named("shop", "s")}, nil)))
	require.NoError(t, run(t, g, request(Create, "configmaps", &corev1.ConfigMap{ObjectMeta: named("shop", "s")}, nil)))
	require.NoError(t, run(t, g, request(Create, "events", &corev1.Event{ObjectMeta: named("shop", "s")}, nil)))
}

func TestTurns(t *testing.T) {
	turns := &turns{byKey: map[string]*turn{}}
	done, err := turns.take(context.Background(), "a")
	require.NoError(t, err)
	other, err := turns.take(context.Background(), "b")
	require.NoError(t, err)
	other()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = turns.take(ctx, "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	done()
	done, err = turns.take(context.Background(), "a")
	require.NoError(t, err)
	done()
	require.Empty(t, turns.byKey)
}
