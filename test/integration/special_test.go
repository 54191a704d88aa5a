package integration

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Who asks for a certificate is noted by the server, and who approves decides nothing else.
func TestCertificateSigningRequest(t *testing.T) {
	s := startServer(t)
	ctx := t.Context()
	pem, err := base64.StdEncoding.DecodeString(certificateRequest)
	require.NoError(t, err)
	csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "alice"}, Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: certificatesv1.KubeAPIServerClientSignerName, Request: pem, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		Username: "somebody else", Groups: []string{"system:masters"},
	}}
	csrs := func(by *rest.Config) certificateRequests {
		return clientOf(t, by).CertificatesV1().CertificateSigningRequests()
	}
	admin := s.as(s.options.PKI.Kubeconfig)
	bob := rest.CopyConfig(admin)
	bob.Impersonate = rest.ImpersonationConfig{UserName: "bob", UID: "7", Groups: []string{"dev", "system:masters"}, Extra: map[string][]string{"why": {"a"}}}
	made, err := csrs(bob).Create(ctx, csr, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "bob", made.Spec.Username)
	require.Equal(t, "7", made.Spec.UID)
	require.Equal(t, []string{"dev", "system:masters", "system:authenticated"}, made.Spec.Groups)
	require.Equal(t, certificatesv1.ExtraValue{"a"}, made.Spec.Extra["why"])

	made.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Known"}}
	_, err = csrs(admin).UpdateStatus(ctx, made, metav1.UpdateOptions{})
	require.True(t, apierrors.IsInvalid(err), "who signs does not approve: %v", err)
	made.Spec.Username = "eve"
	approved, err := csrs(admin).UpdateApproval(ctx, "alice", made, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Len(t, approved.Status.Conditions, 1)
	require.NotZero(t, approved.Status.Conditions[0].LastUpdateTime)
	require.Equal(t, "bob", approved.Spec.Username)
	approved.Status.Conditions[0].Type = certificatesv1.CertificateDenied
	_, err = csrs(admin).UpdateApproval(ctx, "alice", approved, metav1.UpdateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
}

type certificateRequests interface {
	Create(context.Context, *certificatesv1.CertificateSigningRequest, metav1.CreateOptions) (*certificatesv1.CertificateSigningRequest, error)
	UpdateStatus(context.Context, *certificatesv1.CertificateSigningRequest, metav1.UpdateOptions) (*certificatesv1.CertificateSigningRequest, error)
	UpdateApproval(context.Context, string, *certificatesv1.CertificateSigningRequest, metav1.UpdateOptions) (*certificatesv1.CertificateSigningRequest, error)
}

// The oldest way to bind a pod still works.
func TestTopLevelBinding(t *testing.T) {
	s := startServer(t)
	s.serviceAccount("default")
	pods := s.client.CoreV1().Pods("default")
	_, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	bind := func(pod string) answer {
		return s.send("POST /api/v1/namespaces/default/bindings", []byte(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"`+pod+`"},"target":{"kind":"Node","name":"n1"}}`),
			"Content-Type: application/json")
	}
	require.Equal(t, http.StatusCreated, bind("p").code)
	pod, err := pods.Get(t.Context(), "p", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "n1", pod.Spec.NodeName)
	require.Equal(t, http.StatusConflict, bind("p").code)
	require.Equal(t, http.StatusNotFound, bind("q").code)
	require.Equal(t, http.StatusMethodNotAllowed, s.send("GET /api/v1/namespaces/default/bindings", nil).code)
}

func TestComponentStatuses(t *testing.T) {
	s := startServer(t)
	a := s.send("GET /api/v1/componentstatuses", nil)
	require.Equal(t, http.StatusOK, a.code)
	require.Contains(t, a.header.Get("Warning"), "v1 ComponentStatus is deprecated in v1.19+")
	var list corev1.ComponentStatusList
	require.NoError(t, json.Unmarshal(a.body, &list))
	require.NotEmpty(t, list.Items)
	one, err := s.client.CoreV1().ComponentStatuses().Get(t.Context(), "etcd-0", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, []corev1.ComponentCondition{{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: "ok"}}, one.Conditions)
	_, err = s.client.CoreV1().ComponentStatuses().Get(t.Context(), "scheduler-7", metav1.GetOptions{})
	require.ErrorContains(t, err, `componentstatus "scheduler-7" not found`)
	require.Equal(t, http.StatusMethodNotAllowed, s.send("DELETE /api/v1/componentstatuses/etcd-0", nil).code)
}

// What is made has no history; to say so is a mistake of the client that the API has always called its own.
func TestCreateWithResourceVersion(t *testing.T) {
	s := startServer(t)
	config := configMap("c", nil)
	config.ResourceVersion = "7"
	for range 2 {
		_, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), config, metav1.CreateOptions{})
		require.True(t, apierrors.IsInternalError(err) || apierrors.ReasonForError(err) == metav1.StatusReasonUnknown, "%v", err)
		require.ErrorContains(t, err, "resourceVersion should not be set on objects to be created")
	}
	_, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), config, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.NoError(t, err)
	config.Finalizers = []string{"mine"}
	_, err = s.client.CoreV1().ConfigMaps("default").Create(t.Context(), config, metav1.CreateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	require.ErrorContains(t, err, `metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified`)
}

// A claim goes its way from pending to reserved; slices are found by their node, driver and pool.
func TestDevices(t *testing.T) {
	s := startServer(t)
	ctx, api := t.Context(), s.client.ResourceV1()
	selector := func(expression string) *resourcev1.DeviceClass {
		return &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}, Spec: resourcev1.DeviceClassSpec{
			Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: expression}}}}}
	}
	_, err := api.DeviceClasses().Create(ctx, selector(`device.colour == "red"`), metav1.CreateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	require.ErrorContains(t, err, "undefined field 'colour'")
	_, err = api.DeviceClasses().Create(ctx, selector(`device.driver == "gpu.example.com"`), metav1.CreateOptions{})
	require.NoError(t, err)

	node := "n1"
	_, err = api.ResourceSlices().Create(ctx, &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: resourcev1.ResourceSliceSpec{
		Driver: "gpu.example.com", NodeName: &node, Pool: resourcev1.ResourcePool{Name: "n1", ResourceSliceCount: 1},
		Devices: []resourcev1.Device{{Name: "gpu-0", Taints: []resourcev1.DeviceTaint{{Key: "sick", Effect: resourcev1.DeviceTaintEffectNoSchedule}}}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	for selector, n := range map[string]int{"spec.nodeName=n1": 1, "spec.driver=gpu.example.com,spec.pool.name=n1": 1, "spec.nodeName=n2": 0} {
		slices, err := api.ResourceSlices().List(ctx, metav1.ListOptions{FieldSelector: selector})
		require.NoError(t, err)
		require.Len(t, slices.Items, n, selector)
		for _, slice := range slices.Items {
			require.NotNil(t, slice.Spec.Devices[0].Taints[0].TimeAdded)
		}
	}

	claim, err := api.ResourceClaims("default").Create(ctx, &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: resourcev1.ResourceClaimSpec{
		Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu"}}}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, int64(1), claim.Spec.Devices.Requests[0].Exactly.Count)
	admin, yes := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Name: "admin"}, Spec: *claim.Spec.DeepCopy()}, true
	admin.Spec.Devices.Requests[0].Exactly.AdminAccess = &yes
	_, err = api.ResourceClaims("default").Create(ctx, admin, metav1.CreateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	require.ErrorContains(t, err, "spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label")
	_, err = s.client.CoreV1().Namespaces().Patch(ctx, "default", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"resource.kubernetes.io/admin-access":"true"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	_, err = api.ResourceClaims("default").Create(ctx, admin, metav1.CreateOptions{})
	require.NoError(t, err)
	claim.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: "p", UID: "u"}}
	_, err = api.ResourceClaims("default").UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	claim.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{
		Results: []resourcev1.DeviceRequestAllocationResult{{Request: "gpu", Driver: "gpu.example.com", Pool: "n1", Device: "gpu-0"}}}}
	claim, err = api.ResourceClaims("default").UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Len(t, claim.Status.ReservedFor, 1)
}
