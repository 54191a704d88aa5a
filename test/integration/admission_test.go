package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func quantities(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

// limited makes a namespace with a quota, and waits until it is counted.
func (c *controlled) limited(namespace string, hard corev1.ResourceList) {
	c.Helper()
	c.namespace(namespace)
	c.until("the namespace has its account", func() bool {
		_, err := c.client.CoreV1().ServiceAccounts(namespace).Get(c.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	_, err := c.client.CoreV1().ResourceQuotas(namespace).Create(c.Context(), q, metav1.CreateOptions{})
	require.NoError(c, err)
	c.until("the quota is counted", func() bool { return len(c.used(namespace)) == len(hard) })
}

// used is what the quota says is used, as text.
func (c *controlled) used(namespace string) map[corev1.ResourceName]string {
	c.Helper()
	q, err := c.client.CoreV1().ResourceQuotas(namespace).Get(c.Context(), "q", metav1.GetOptions{})
	require.NoError(c, err)
	out := map[corev1.ResourceName]string{}
	for name, amount := range q.Status.Used {
		out[name] = amount.String()
	}
	return out
}

func tiny(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
}

// Sixty-four want to create a pod at once, some of them twice, and ten may. When pods go, as many others may come.
func TestQuotaIsExact(t *testing.T) {
	c := startControllers(t)
	c.limited("shop", quantities("pods", "10", "count/pods", "20", "services.nodeports", "1", "secrets", "1"))
	pods := c.client.CoreV1().Pods("shop")
	storm := func(round string) (made []string) {
		var wait sync.WaitGroup
		var refused atomic.Int32
		names := make(chan string, 64)
		for i := range 64 {
			wait.Go(func() {
				p, err := pods.Create(t.Context(), tiny(fmt.Sprintf("%s%d", round, i/2*2)), metav1.CreateOptions{})
				switch {
				case err == nil:
					names <- p.Name
				case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: q, requested: "):
					refused.Add(1)
				case !apierrors.IsAlreadyExists(err):
					t.Error(err)
				}
			})
		}
		wait.Wait()
		close(names)
		for name := range names {
			made = append(made, name)
		}
		require.NotZero(t, refused.Load())
		return made
	}
	made := storm("a")
	require.Len(t, made, 10)
	require.Equal(t, "10", c.used("shop")["pods"])
	_, err := pods.Create(t.Context(), tiny("more"), metav1.CreateOptions{})
	require.EqualError(t, err, `pods "more" is forbidden: exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10`)
	_, err = pods.Create(t.Context(), tiny("more"), metav1.CreateOptions{DryRun: []string{"All"}})
	require.True(t, apierrors.IsForbidden(err))

	now := int64(0)
	for _, name := range made[:4] {
		require.NoError(t, pods.Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	}
	c.until("four are given back", func() bool { return c.used("shop")["pods"] == "6" })
	require.Len(t, storm("b"), 4)
	list, err := pods.List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 10)

	// A pod that has ended leaves its place to another, but still is an object.
	_, err = pods.Patch(t.Context(), list.Items[0].Name, types.MergePatchType, []byte(`{"status":{"phase":"Succeeded"}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	c.until("one has ended", func() bool { return c.used("shop")["pods"] == "9" })
	require.Equal(t, "10", c.used("shop")["count/pods"])
}

func TestQuotaOfOtherThings(t *testing.T) {
	c := startControllers(t)
	c.limited("shop", quantities("services.nodeports", "1", "secrets", "1", "count/configmaps", "2", "requests.cpu", "1"))
	core := c.client.CoreV1()
	_, err := core.Pods("shop").Create(t.Context(), tiny("p"), metav1.CreateOptions{})
	require.EqualError(t, err, `pods "p" is forbidden: failed quota: q: must specify requests.cpu for: c`)

	service := func(kind corev1.ServiceType, ports ...int32) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: corev1.ServiceSpec{Type: kind}}
		for _, p := range ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", p), Port: p})
		}
		return s
	}
	_, err = core.Services("shop").Create(t.Context(), service(corev1.ServiceTypeNodePort, 80, 81), metav1.CreateOptions{})
	require.EqualError(t, err, `services "s" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1`)
	s, err := core.Services("shop").Create(t.Context(), service(corev1.ServiceTypeNodePort, 80), metav1.CreateOptions{})
	require.NoError(t, err)
	require.NotZero(t, s.Spec.Ports[0].NodePort)
	require.Equal(t, "1", c.used("shop")["services.nodeports"])
	_, err = core.Services("shop").Patch(t.Context(), "s", types.MergePatchType, []byte(`{"spec":{"ports":[{"name":"a","port":1},{"name":"b","port":2}]}}`), metav1.PatchOptions{})
	require.EqualError(t, err, `services "s" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1, limited: services.nodeports=1`)
	_, err = core.Services("shop").Patch(t.Context(), "s", types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.until("the node port is given back", func() bool { return c.used("shop")["services.nodeports"] == "0" })

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "s-"}}
	made, err := core.Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = core.Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{})
	require.True(t, apierrors.IsForbidden(err), err)
	require.NoError(t, core.Secrets("shop").Delete(t.Context(), made.Name, metav1.DeleteOptions{}))
	c.until("the secret is given back", func() bool { return c.used("shop")["secrets"] == "0" })
	require.Equal(t, "1", c.used("shop")["count/configmaps"], "that of the certificate")
	_, err = core.ConfigMaps("shop").Create(t.Context(), configMap("m", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = core.ConfigMaps("shop").Create(t.Context(), configMap("n", nil), metav1.CreateOptions{})
	require.EqualError(t, err, `configmaps "n" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=2, limited: count/configmaps=2`)
}

// Objects of kinds that users define are counted like others.
func TestQuotaOfCustomResources(t *testing.T) {
	c := startControllers(t)
	c.limited("shop", quantities("pods", "1"))
	c.define(definition(t, "crontab"))
	_, err := c.client.CoreV1().ResourceQuotas("shop").Patch(t.Context(), "q", types.MergePatchType,
		[]byte(`{"spec":{"hard":{"count/crontabs.stable.example.com":"1"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.until("crontabs are counted", func() bool { return c.used("shop")["count/crontabs.stable.example.com"] == "0" })
	tab := func(name string) *unstructured.Unstructured {
		return object(t, `{apiVersion: stable.example.com/v1, kind: CronTab, metadata: {name: `+name+`}, spec: {cronSpec: "* * * * *", image: i}}`)
	}
	tabs := c.dynamic.Resource(crontabs).Namespace("shop")
	_, err = tabs.Create(t.Context(), tab("a"), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = tabs.Create(t.Context(), tab("b"), metav1.CreateOptions{})
	require.EqualError(t, err, `crontabs.stable.example.com "b" is forbidden: exceeded quota: q, requested: count/crontabs.stable.example.com=1, `+
		`used: count/crontabs.stable.example.com=1, limited: count/crontabs.stable.example.com=1`)
	require.NoError(t, tabs.Delete(t.Context(), "a", metav1.DeleteOptions{}))
	c.until("the crontab is given back", func() bool { return c.used("shop")["count/crontabs.stable.example.com"] == "0" })
}

// warnings takes down what the server warns of.
type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }

func (s *server) warned() (kubernetes.Interface, *warnings) {
	w := &warnings{}
	config := rest.CopyConfig(s.config)
	config.WarningHandler = w
	return clientOf(s.T, config), w
}

func TestPodSecurity(t *testing.T) {
	c := startControllers(t)
	client, heard := c.warned()
	c.namespace("shop")
	yes := true
	pod := tiny("root")
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	c.until("a pod can be made", func() bool {
		_, err := client.CoreV1().Pods("shop").Create(t.Context(), pod, metav1.CreateOptions{})
		return err == nil
	})
	_, err := client.CoreV1().Namespaces().Patch(t.Context(), "shop", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted","pod-security.kubernetes.io/warn":"restricted"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Len(t, *heard, 2)
	require.Equal(t, `existing pods in namespace "shop" violate the new PodSecurity enforce level "restricted:latest"`, (*heard)[0])
	require.Contains(t, (*heard)[1], "root: privileged, allowPrivilegeEscalation != false")

	pod.Name = "again"
	_, err = client.CoreV1().Pods("shop").Create(t.Context(), pod, metav1.CreateOptions{})
	require.True(t, apierrors.IsForbidden(err))
	require.ErrorContains(t, err, `pods "again" is forbidden: violates PodSecurity "restricted:latest": privileged (container "c" must not set securityContext.privileged=true), `+
		`allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), `)

	*heard = nil
	labels := map[string]string{"app": "web"}
	_, err = client.AppsV1().Deployments("shop").Create(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Len(t, *heard, 1)
	require.Contains(t, (*heard)[0], `would violate PodSecurity "restricted:latest": privileged`)
}

func TestLimitRange(t *testing.T) {
	c := startControllers(t)
	c.limited("shop", quantities("requests.cpu", "1"))
	_, err := c.client.CoreV1().LimitRanges("shop").Create(t.Context(), &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "r"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer,
			Max: quantities("cpu", "500m"), Default: quantities("cpu", "200m"), DefaultRequest: quantities("cpu", "100m")}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	p, err := c.client.CoreV1().Pods("shop").Create(t.Context(), tiny("p"), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "100m", p.Spec.Containers[0].Resources.Requests.Cpu().String())
	require.Equal(t, "LimitRanger plugin set: cpu request for container c; cpu limit for container c", p.Annotations["kubernetes.io/limit-ranger"])
	require.Equal(t, "100m", c.used("shop")["requests.cpu"], "the quota is charged what the range has filled in")
	big := tiny("big")
	big.Spec.Containers[0].Resources.Limits = quantities("cpu", "1")
	_, err = c.client.CoreV1().Pods("shop").Create(t.Context(), big, metav1.CreateOptions{})
	require.ErrorContains(t, err, `pods "big" is forbidden: maximum cpu usage per Container is 500m, but limit is 1`)
}

// A claim that is deleted stays while a pod mounts it. It has its default class from the one that says so.
func TestStorageProtection(t *testing.T) {
	c := startControllers(t)
	core := c.client.CoreV1()
	_, err := c.client.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{Provisioner: "example.com/disk",
		ObjectMeta: metav1.ObjectMeta{Name: "gold", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.limited("shop", quantities("gold.storageclass.storage.k8s.io/requests.storage", "3Gi"))
	claim := func(name string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: quantities("storage", "2Gi")}}}
	}
	made, err := core.PersistentVolumeClaims("shop").Create(t.Context(), claim("a"), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "gold", *made.Spec.StorageClassName)
	require.Equal(t, []string{"kubernetes.io/pvc-protection"}, made.Finalizers)
	_, err = core.PersistentVolumeClaims("shop").Create(t.Context(), claim("b"), metav1.CreateOptions{})
	require.EqualError(t, err, `persistentvolumeclaims "b" is forbidden: exceeded quota: q, requested: gold.storageclass.storage.k8s.io/requests.storage=2Gi, `+
		`used: gold.storageclass.storage.k8s.io/requests.storage=2Gi, limited: gold.storageclass.storage.k8s.io/requests.storage=3Gi`)

	pod := tiny("p")
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "a"}}}}
	pod.Spec.NodeName = "n1"
	_, err = core.Pods("shop").Create(t.Context(), pod, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, core.PersistentVolumeClaims("shop").Delete(t.Context(), "a", metav1.DeleteOptions{}))
	held, err := core.PersistentVolumeClaims("shop").Get(t.Context(), "a", metav1.GetOptions{})
	require.NoError(t, err)
	require.NotNil(t, held.DeletionTimestamp)
	require.NoError(t, core.Pods("shop").Delete(t.Context(), "p", metav1.DeleteOptions{}))
	c.until("the claim goes with its pod", func() bool {
		_, err := core.PersistentVolumeClaims("shop").Get(t.Context(), "a", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	c.until("its storage is given back", func() bool { return c.used("shop")["gold.storageclass.storage.k8s.io/requests.storage"] == "0" })
}

// What a pod's runtime class and an Ingress without a class are given.
func TestClasses(t *testing.T) {
	s := startServer(t)
	s.serviceAccount("default")
	_, err := s.client.NodeV1().RuntimeClasses().Create(t.Context(), &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "vm"}, Handler: "vm",
		Overhead:   &nodev1.Overhead{PodFixed: quantities("cpu", "100m")},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"vm": "yes"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	in := func(name, class string) *corev1.Pod {
		p := tiny(name)
		p.Spec.RuntimeClassName = &class
		return p
	}
	p, err := s.client.CoreV1().Pods("default").Create(t.Context(), in("a", "vm"), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "100m", p.Spec.Overhead.Cpu().String())
	require.Equal(t, map[string]string{"vm": "yes"}, p.Spec.NodeSelector)
	_, err = s.client.CoreV1().Pods("default").Create(t.Context(), in("b", "ghost"), metav1.CreateOptions{})
	require.EqualError(t, err, `pods "b" is forbidden: pod rejected: RuntimeClass "ghost" not found`)

	_, err = s.client.NetworkingV1().IngressClasses().Create(t.Context(), &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx",
		Annotations: map[string]string{"ingressclass.kubernetes.io/is-default-class": "true"}}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/nginx"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	i, err := s.client.NetworkingV1().Ingresses("default").Create(t.Context(), &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "i"},
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
			Name: "s", Port: networkingv1.ServiceBackendPort{Number: 80}}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "nginx", *i.Spec.IngressClassName)
}

// Who may do everything with requests for certificates still needs the right to their signer.
func TestCertificateRights(t *testing.T) {
	s := startServer(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	request := func(name, signer string, groups ...string) *certificatesv1.CertificateSigningRequest {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x", Organization: groups}}, key)
		require.NoError(t, err)
		return &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: signer, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}}}
	}
	csrs := s.client.CertificatesV1().CertificateSigningRequests()
	_, err = csrs.Create(t.Context(), request("m", "kubernetes.io/kube-apiserver-client", "system:masters"), metav1.CreateOptions{})
	require.EqualError(t, err, `certificatesigningrequests.certificates.k8s.io "m" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`)
	made, err := csrs.Create(t.Context(), request("c", "example.com/clients"), metav1.CreateOptions{})
	require.NoError(t, err)
	made.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test"}}

	s.may("clerk", rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests", "certificatesigningrequests/approval"}})
	clerk := s.impersonating("clerk").CertificatesV1().CertificateSigningRequests()
	_, err = clerk.UpdateApproval(t.Context(), "c", made, metav1.UpdateOptions{})
	require.EqualError(t, err, `certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to approve requests with signerName "example.com/clients"`)
	s.may("clerk", rbacv1.PolicyRule{Verbs: []string{"approve"}, APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"signers"}, ResourceNames: []string{"example.com/*"}})
	_, err = clerk.UpdateApproval(t.Context(), "c", made, metav1.UpdateOptions{})
	require.NoError(t, err)
}

// may gives a user a right in the whole cluster.
func (s *server) may(user string, rule rbacv1.PolicyRule) {
	s.Helper()
	role, err := s.client.RbacV1().ClusterRoles().Create(s.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: user + "-"}, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
	require.NoError(s, err)
	_, err = s.client.RbacV1().ClusterRoleBindings().Create(s.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: user}}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name}}, metav1.CreateOptions{})
	require.NoError(s, err)
}

func (s *server) impersonating(user string) kubernetes.Interface {
	config := rest.CopyConfig(s.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return clientOf(s.T, config)
}
