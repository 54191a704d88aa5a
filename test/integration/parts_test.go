package integration

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// give gives a user the rights in all namespaces, and waits until he has them.
func (s *server) give(user string, rules ...rbacv1.PolicyRule) {
	s.Helper()
	ctx, access := s.Context(), s.client.RbacV1()
	_, err := access.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}, metav1.CreateOptions{})
	require.NoError(s, err)
	_, err = access.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: user}, Subjects: []rbacv1.Subject{{Kind: "User", Name: user}}}, metav1.CreateOptions{})
	require.NoError(s, err)
}

// Who may write the status of a claim may not, by that alone, allocate it, nor speak for any driver; the scheduler may do the one, and a
// driver speaks for itself on its own node.
func TestRightsToPartsOfAClaim(t *testing.T) {
	s := startServer(t)
	ctx := t.Context()
	s.namespace("shop")
	const driver = "system:serviceaccount:shop:driver"
	right := func(verb, part string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{"resource.k8s.io"}, Resources: []string{part}, ResourceNames: names}
	}
	s.give("writer", right("update", "resourceclaims/status"))
	s.give(driver, right("update", "resourceclaims/status"), right("associated-node:update", "resourceclaims/driver", "gpu.example.com"))
	claims := func(c kubernetes.Interface, change func(*resourcev1.ResourceClaimStatus)) error {
		claim, err := s.client.ResourceV1().ResourceClaims("shop").Get(ctx, "gpu", metav1.GetOptions{})
		require.NoError(t, err)
		change(&claim.Status)
		_, err = c.ResourceV1().ResourceClaims("shop").UpdateStatus(ctx, claim, metav1.UpdateOptions{})
		return err
	}
	_, err := s.client.ResourceV1().ResourceClaims("shop").Create(ctx, &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: "gpu"},
		Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{
			{Name: "r", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "c"}}}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	allocate := func(st *resourcev1.ResourceClaimStatus) {
		st.Allocation = &resourcev1.AllocationResult{
			Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{{Request: "r", Driver: "gpu.example.com", Pool: "p", Device: "d"}}},
			NodeSelector: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
				{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"oak"}}}}}},
		}
	}
	tell := func(st *resourcev1.ResourceClaimStatus) {
		st.Devices = []resourcev1.AllocatedDeviceStatus{{Driver: "gpu.example.com", Pool: "p", Device: "d", NetworkData: &resourcev1.NetworkDeviceData{InterfaceName: "eth1"}}}
	}
	on := func(node string) kubernetes.Interface {
		c := rest.CopyConfig(s.config)
		c.Impersonate = rest.ImpersonationConfig{UserName: driver, Extra: map[string][]string{"authentication.kubernetes.io/node-name": {node}}}
		return clientOf(t, c)
	}
	writer := s.by("writer")
	s.until("both may write the status", func() bool {
		nothing := func(*resourcev1.ResourceClaimStatus) {}
		return claims(writer, nothing) == nil && claims(on("oak"), nothing) == nil
	})

	require.EqualError(t, claims(writer, allocate), `ResourceClaim.resource.k8s.io "gpu" is invalid: status.allocation: Forbidden: changing status.allocation or status.reservedFor `+
		`requires resource="resourceclaims/binding", verb="update" permission: resourceclaims.resource.k8s.io is forbidden: User "writer" cannot update resource "resourceclaims/binding" `+
		`in API group "resource.k8s.io" at the cluster scope`)
	require.NoError(t, claims(s.by("system:kube-scheduler"), allocate))

	refused := func(user, verbs, verb string) string {
		return `ResourceClaim.resource.k8s.io "gpu" is invalid: status.devices: Forbidden: changing status.devices requires resource="resourceclaims/driver", verb="[` + verbs + `]" permission: ` +
			`resourceclaims.resource.k8s.io "gpu.example.com" is forbidden: User "` + user + `" cannot ` + verb + ` resource "resourceclaims/driver" in API group "resource.k8s.io" in the namespace "shop"`
	}
	require.EqualError(t, claims(writer, tell), refused("writer", "arbitrary-node:update", "arbitrary-node:update"))
	require.EqualError(t, claims(on("elm"), tell), refused(driver, "arbitrary-node:update", "arbitrary-node:update"))
	require.NoError(t, claims(on("oak"), tell))
}

// A node asks for the certificates of its own pods, sees no others, and does not issue them; one of the signer's does.
func TestCertificatesOfPods(t *testing.T) {
	s := startServer(t)
	ctx := t.Context()
	s.namespace("shop")
	account, err := s.client.CoreV1().ServiceAccounts("shop").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	node := func(name string) (kubernetes.Interface, *corev1.Node) {
		c := s.by("system:node:"+name, "system:nodes")
		n, err := c.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(t, err)
		return c, n
	}
	oak, oakNode := node("oak")
	elm, elmNode := node("elm")
	pod, err := s.client.CoreV1().Pods("shop").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{NodeName: "oak",
		Containers: []corev1.Container{{Name: "web", Image: "web"}}, Volumes: []corev1.Volume{{Name: "id", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{PodCertificate: &corev1.PodCertificateProjection{SignerName: "shop.io/mesh", KeyType: "ED25519", CredentialBundlePath: "id.pem"}}}}}}}}},
		metav1.CreateOptions{})
	require.NoError(t, err)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	stub, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	ask := func(c kubernetes.Interface, n *corev1.Node, signer string) error {
		_, err := c.CertificatesV1().PodCertificateRequests("shop").Create(ctx, &certificatesv1.PodCertificateRequest{ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec: certificatesv1.PodCertificateRequestSpec{SignerName: signer, PodName: "web", PodUID: pod.UID, NodeName: types.NodeName(n.Name), NodeUID: n.UID,
				ServiceAccountName: "default", ServiceAccountUID: account.UID, StubPKCS10Request: stub}}, metav1.CreateOptions{})
		return err
	}
	require.EqualError(t, ask(elm, elmNode, "shop.io/mesh"), `podcertificaterequests.certificates.k8s.io "web" is forbidden: pod "shop/web" is not running on node "elm" named in the PodCertificateRequest`)
	require.EqualError(t, ask(oak, oakNode, "bank.io/mesh"), `podcertificaterequests.certificates.k8s.io "web" is forbidden: pod "shop/web" does not mount a podCertificate projected volume for signer "bank.io/mesh"`)
	require.NoError(t, ask(oak, oakNode, "shop.io/mesh"))

	r, err := oak.CertificatesV1().PodCertificateRequests("shop").Get(ctx, "web", metav1.GetOptions{})
	require.NoError(t, err)
	_, err = elm.CertificatesV1().PodCertificateRequests("shop").Get(ctx, "web", metav1.GetOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)

	status := rule([]string{"update"}, "certificates.k8s.io", "podcertificaterequests/status")
	sign := rule([]string{"sign"}, "certificates.k8s.io", "signers")
	sign.ResourceNames = []string{"shop.io/*"}
	s.give("clerk", status)
	s.give("signer", status, sign)
	end := func(user string, conditions ...metav1.Condition) error {
		next := r.DeepCopy()
		next.Status.Conditions = conditions
		_, err := s.by(user).CertificatesV1().PodCertificateRequests("shop").UpdateStatus(ctx, next, metav1.UpdateOptions{})
		return err
	}
	s.until("both may write the status", func() bool { return end("clerk") == nil && end("signer") == nil })
	denied := metav1.Condition{Type: "Denied", Status: "True", Reason: "Closed", LastTransitionTime: metav1.Unix(1, 0)}
	require.EqualError(t, end("clerk", denied), `PodCertificateRequest.certificates.k8s.io "web" is invalid: spec.signerName: Forbidden: User "clerk" is not permitted to "sign" for signer "shop.io/mesh"`)
	require.NoError(t, end("signer", denied))
}
