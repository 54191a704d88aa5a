package admission

import (
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Each case is a request of node oak, on which pod web runs; pod db runs on elm.
func TestNodeRestriction(t *testing.T) {
	on := func(name, node string) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Name, p.UID, p.Spec.NodeName = name, "u", node })
	}
	node := func(name string, change func(*corev1.Node)) *corev1.Node {
		n := &corev1.Node{ObjectMeta: named("", name)}
		if change != nil {
			change(n)
		}
		return n
	}
	label := func(key string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Labels = map[string]string{key: "v"} }
	}
	status := func(p *corev1.Pod, change func(*corev1.Pod)) *Attributes {
		next := p.DeepCopy()
		if change != nil {
			change(next)
		}
		return request(Update, "pods/status", next, p)
	}
	token := func(pod string, uid string, audiences ...string) runtime.Object {
		r := &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
		r.Spec.Audiences = audiences
		if pod != "" {
			r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod, UID: "u"}
			if uid != "u" {
				r.Spec.BoundObjectRef.UID = ""
			}
		}
		return r
	}
	lease := func(name string) runtime.Object {
		return &coordinationv1.Lease{ObjectMeta: named("kube-node-lease", name)}
	}
	eviction := func(name string) runtime.Object { return &policyv1.Eviction{ObjectMeta: named("shop", name)} }
	vault := on("web", "oak")
	vault.Spec.Volumes = []corev1.Volume{
		{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}, {ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault"}}}}}},
		{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}},
	}
	g := cluster()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: named("shop", "c"), Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv"}}
	g["persistentvolumeclaims/shop/c"] = claim
	g["persistentvolumes//pv"] = &corev1.PersistentVolume{ObjectMeta: named("", "pv"), Spec: corev1.PersistentVolumeSpec{
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi"}}}}
	g["csidrivers.storage.k8s.io//csi"] = &storagev1.CSIDriver{ObjectMeta: named("", "csi"), Spec: storagev1.CSIDriverSpec{
		TokenRequests: []storagev1.TokenRequest{{Audience: "store"}}}}
	sized := claim.DeepCopy()
	sized.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	guarded := claim.DeepCopy()
	guarded.Finalizers = []string{"a/b"}
	g["namespaces//kube-node-lease"] = g["namespaces//shop"]
	g["nodes//oak"] = node("oak", nil)
	g["pods/shop/web"], g["pods/shop/db"] = vault, on("db", "elm")

	for name, tc := range map[string]struct {
		a    *Attributes
		want string
	}{
		"mirror pod":                   {request(Create, "pods", pod(mirror("oak", nil)), nil), ""},
		"ordinary pod":                 {request(Create, "pods", on("x", "oak"), nil), `pods "x" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "oak" can only create mirror pods`},
		"mirror pod elsewhere":         {request(Create, "pods", pod(mirror("elm", nil)), nil), `pods "web" is forbidden: node "oak" can only create pods with spec.nodeName set to itself`},
		"mirror pod with a config map": {request(Create, "pods", pod(mirror("oak", usesConfigMap)), nil), `pods "web" is forbidden: node "oak" can not create pods that reference configmaps (via configmap volumes)`},
		"mirror pod with a CSI secret": {request(Create, "pods", pod(mirror("oak", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
				NodePublishSecretRef: &corev1.LocalObjectReference{Name: "stolen"}}}}}
		})), nil), `pods "web" is forbidden: a mirror pod may not reference secrets`},
		"mirror pod with an ephemeral claim": {request(Create, "pods", pod(mirror("oak", func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}
		})), nil), `pods "web" is forbidden: node "oak" can not create pods that reference persistentvolumeclaims (via ephemeral volumes)`},
		"mirror pod with a device": {request(Create, "pods", pod(mirror("oak", func(p *corev1.Pod) {
			p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}}
		})), nil), `pods "web" is forbidden: node "oak" can not create pods that reference resourceclaims`},
		"mirror pod of nobody":            {request(Create, "pods", pod(mirror("oak", func(p *corev1.Pod) { p.OwnerReferences = nil })), nil), `pods "web" is forbidden: node "oak" can only create pods with an owner reference set to itself`},
		"mirror pod of another node":      {request(Create, "pods", pod(mirror("oak", func(p *corev1.Pod) { p.OwnerReferences[0].Name = "elm" })), nil), `pods "web" is forbidden: node "oak" can only create pods with an owner reference set to itself`},
		"mirror pod of an earlier node":   {request(Create, "pods", pod(mirror("oak", func(p *corev1.Pod) { p.OwnerReferences[0].UID = "old" })), nil), `pods "web" is forbidden: node oak UID mismatch: expected old got oak-uid`},
		"mirror pod, not controlled":      {request(Create, "pods", pod(mirror("oak", func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil })), nil), `pods "web" is forbidden: node "oak" can only create pods with a controller owner reference set to itself`},
		"delete own pod":                  {request(Delete, "pods", nil, on("web", "oak")), ""},
		"delete other pod":                {request(Delete, "pods", nil, on("db", "elm")), `pods "db" is forbidden: node "oak" can only delete pods with spec.nodeName set to itself`},
		"update pod":                      {request(Update, "pods", on("web", "oak"), on("web", "oak")), `pods "web" is forbidden: unexpected operation "UPDATE", node "oak" can only create and delete mirror pods`},
		"status of own pod":               {status(on("web", "oak"), nil), ""},
		"status of other pod":             {status(on("db", "elm"), nil), `pods "db" is forbidden: node "oak" can only update pod status for pods with spec.nodeName set to itself`},
		"status that steals a pod":        {status(on("db", "elm"), func(p *corev1.Pod) { p.Spec.NodeName = "oak" }), `pods "db" is forbidden: node "oak" can only update pod status for pods with spec.nodeName set to itself`},
		"labels through the status":       {status(on("web", "oak"), func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }), `pods "web" is forbidden: node "oak" cannot update labels through pod status`},
		"evict own pod":                   {request(Create, "pods/eviction", eviction("web"), nil), ""},
		"evict other pod":                 {request(Create, "pods/eviction", eviction("db"), nil), `pods "db" is forbidden: node oak can only evict pods with spec.nodeName set to itself`},
		"own node":                        {request(Create, "nodes", node("oak", label("kubernetes.io/hostname")), nil), ""},
		"other node":                      {request(Create, "nodes", node("elm", nil), nil), `nodes "elm" is forbidden: node "oak" is not allowed to modify node "elm"`},
		"other node's status":             {request(Update, "nodes/status", node("elm", nil), node("elm", nil)), `nodes "elm" is forbidden: node "oak" is not allowed to modify node "elm"`},
		"own label":                       {request(Update, "nodes", node("oak", label("disk")), node("oak", nil)), ""},
		"label of a kubelet":              {request(Update, "nodes", node("oak", label("node.kubernetes.io/x")), node("oak", nil)), ""},
		"restricted label":                {request(Create, "nodes", node("oak", label("node-restriction.kubernetes.io/pci")), nil), `nodes "oak" is forbidden: node "oak" is not allowed to set the following labels: node-restriction.kubernetes.io/pci`},
		"role label":                      {request(Update, "nodes", node("oak", label("node-role.kubernetes.io/control-plane")), node("oak", nil)), `nodes "oak" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/control-plane`},
		"role label removed":              {request(Update, "nodes", node("oak", nil), node("oak", label("node-role.kubernetes.io/x"))), `nodes "oak" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/x`},
		"own taint":                       {request(Update, "nodes", node("oak", nil), node("oak", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "k"}} })), `nodes "oak" is forbidden: node "oak" is not allowed to modify taints`},
		"own lease":                       {request(Create, "leases.coordination.k8s.io", lease("oak"), nil), ""},
		"other lease":                     {request(Create, "leases.coordination.k8s.io", lease("elm"), nil), `leases.coordination.k8s.io "elm" is forbidden: can only access node lease with the same name as the requesting node`},
		"token for own pod":               {request(Create, "serviceaccounts/token", token("web", "u"), nil), ""},
		"token for own pod, its audience": {request(Create, "serviceaccounts/token", token("web", "u", "vault"), nil), ""},
		"token for an audience of nobody": {request(Create, "serviceaccounts/token", token("web", "u", "bank"), nil), `serviceaccounts "Unknown" is forbidden: system:node:oak is not authorized to request tokens for audience "bank"`},
		"token for a driver's audience":   {request(Create, "serviceaccounts/token", token("web", "u", "store"), nil), ""},
		"token for two audiences":         {request(Create, "serviceaccounts/token", token("web", "u", "vault", "store"), nil), `serviceaccounts "Unknown" is forbidden: node may only request 0 or 1 audiences`},
		"token for no pod":                {request(Create, "serviceaccounts/token", token("none", "u"), nil), `pod "none" not found`},
		"device through the status": {status(on("web", "oak"), func(p *corev1.Pod) {
			p.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{ResourceClaimName: "gpu"}
		}), `pods "web" is forbidden: node "oak" cannot update extended resource claim status`},
		"size of a claim": {request(Update, "persistentvolumeclaims/status", sized, claim), ""},
		"finalizer of a claim": {request(Update, "persistentvolumeclaims/status", guarded, claim), "persistentvolumeclaims \"c\" is forbidden: node \"oak\" is not allowed to update fields other than status.quantity and status.conditions: " +
			"@@ -2,6 +2,9 @@\n  \"name\": \"c\",\n  \"namespace\": \"shop\",\n  \"uid\": \"c-uid\",\n+ \"finalizers\": [\n+  \"a/b\"\n+ ],\n  \"Spec\": {\n   \"AccessModes\": null,\n   \"Selector\": null,\n"},
		"certificate, garbled": {request(Create, "certificatesigningrequests.certificates.k8s.io", &certificatesv1.CertificateSigningRequest{
			ObjectMeta: named("", "csr"), Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: certificatesv1.KubeletServingSignerName}}, nil),
			`certificatesigningrequests.certificates.k8s.io "csr" is forbidden: unable to parse csr: PEM block type must be CERTIFICATE REQUEST`},
		"token for other pod":         {request(Create, "serviceaccounts/token", token("db", "u"), nil), `serviceaccounts "Unknown" is forbidden: node requested token bound to a pod scheduled on a different node`},
		"token without UID":           {request(Create, "serviceaccounts/token", token("web", ""), nil), `serviceaccounts "Unknown" is forbidden: node requested token with a pod binding without a uid`},
		"token without pod":           {request(Create, "serviceaccounts/token", token("", ""), nil), `serviceaccounts "Unknown" is forbidden: node requested token not bound to a pod`},
		"binding, with more rights":   {request(Create, "pods/binding", &corev1.Binding{ObjectMeta: named("shop", "web")}, nil), `pods "web" is forbidden: unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`},
		"claim, with more rights":     {request(Update, "persistentvolumeclaims", claim, claim), `persistentvolumeclaims "c" is forbidden: may only update PVC status`},
		"CSINode, with more rights":   {request(Delete, "csinodes.storage.k8s.io", nil, &storagev1.CSINode{ObjectMeta: named("", "elm")}), `csinodes.storage.k8s.io "elm" is forbidden: can only access CSINode with the same name as the requesting node`},
		"lease elsewhere":             {request(Create, "leases.coordination.k8s.io", &coordinationv1.Lease{ObjectMeta: named("shop", "oak")}, nil), `leases.coordination.k8s.io "oak" is forbidden: can only access leases in the "kube-node-lease" system namespace`},
		"node with a name to come":    {request(Create, "nodes", &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "oak"}}, nil), `nodes "oak" is forbidden: node "oak" is not allowed to modify node ""`},
		"CSINode status, its feature": {request(Update, "csinodes.storage.k8s.io/status", &storagev1.CSINode{ObjectMeta: named("", "oak")}, &storagev1.CSINode{ObjectMeta: named("", "oak")}), `csinodes.storage.k8s.io "oak" is forbidden: CSIVolumeHealth feature gate is disabled`},
		"something else":              {request(Create, "events", &corev1.Event{ObjectMeta: named("shop", "e")}, nil), ""},
	} {
		t.Run(name, func(t *testing.T) { check(t, tc.want, run(t, g, asNode(tc.a, "oak"))) })
	}
	require.EqualError(t, run(t, g, asNode(request(Create, "events", &corev1.Event{ObjectMeta: named("shop", "e")}, nil), "")),
		`events "e" is forbidden: could not determine node from user "system:node:"`)
}

func usesConfigMap(p *corev1.Pod) {
	p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}}}
}

// A volume of each former kind has its driver, in a pod as well as a persistent one.
func TestFormerKindsOfVolumes(t *testing.T) {
	require.Empty(t, migrated(&corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}))
	require.Empty(t, migrated(&corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{}}))
	require.Equal(t, "ebs.csi.aws.com", migrated(&corev1.VolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{}}))
	require.Equal(t, "cinder.csi.openstack.org", migrated(&corev1.PersistentVolumeSource{Cinder: &corev1.CinderPersistentVolumeSource{}}))
	require.Equal(t, "csi.vsphere.vmware.com", migrated(&corev1.PersistentVolumeSource{VsphereVolume: &corev1.VsphereVirtualDiskVolumeSource{}}))
}
