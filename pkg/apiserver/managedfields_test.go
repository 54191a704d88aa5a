package apiserver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"
)

func trackerFor(t testing.TB, r string, gv schema.GroupVersion) (*fieldTracker, *target) {
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	row, ver, ok := table.ByResource(gv.WithResource(r))
	require.True(t, ok)
	return newFieldTracker(time.Now), &target{row: row, ver: ver, group: gv.Group, version: gv.Version, resource: r}
}

// anyDeployment draws one of a few values for each of several fields, so that two of them often agree in a part.
func anyDeployment(t *rapid.T) *appsv1.Deployment {
	d := &appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}}
	d.Name, d.UID = "d", "u"
	key := rapid.SampledFrom([]string{"a", "b"})
	if rapid.Bool().Draw(t, "labelled") {
		d.Labels = map[string]string{key.Draw(t, "label"): key.Draw(t, "value")}
	}
	if rapid.Bool().Draw(t, "specified") {
		n := rapid.Int32Range(0, 2).Draw(t, "replicas")
		d.Spec.Replicas = &n
		for _, name := range rapid.SliceOfNDistinct(key, 0, 2, rapid.ID[string]).Draw(t, "containers") {
			d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers,
				corev1.Container{Name: name, Image: key.Draw(t, "image")})
		}
	}
	d.Status.ReadyReplicas = rapid.Int32Range(0, 2).Draw(t, "ready")
	return d
}

// timeless is who owns what, in an order that does not depend on when: apimachinery orders entries by their times, so that
// a clock that ticks between two computations would make them differ.
func timeless(entries []metav1.ManagedFieldsEntry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintln(e.Manager, e.Operation, e.APIVersion, e.Subresource, e.FieldsV1))
	}
	slices.Sort(out)
	return out
}

// What is the same before and after cannot matter to who owns what: leaving it out gives what showing everything gives.
func TestTrackingOnlyWhatDiffers(t *testing.T) {
	f, target := trackerFor(t, "deployments", appsv1.SchemeGroupVersion)
	rapid.Check(t, func(r *rapid.T) {
		whole, trimmed := anyDeployment(r), (*appsv1.Deployment)(nil)
		f.created(target, whole, "first")
		trimmed = whole.DeepCopy()
		for i := range 3 {
			next := anyDeployment(r)
			manager, sub := rapid.SampledFrom([]string{"first", "second"}).Draw(r, "manager"), rapid.SampledFrom([]string{"", "status"}).Draw(r, "sub")
			a, b := next.DeepCopy(), next.DeepCopy()
			f.track(target, sub, a, whole, manager)
			f.updated(target, sub, b, trimmed, manager)
			require.Equal(r, timeless(a.ManagedFields), timeless(b.ManagedFields), "step %d", i)
			require.Equal(r, next.Spec, b.Spec)
			whole, trimmed = a, b
		}
	})
}

// A kept answer is the answer that would have been computed.
func TestFieldCache(t *testing.T) {
	f, target := trackerFor(t, "deployments", appsv1.SchemeGroupVersion)
	rapid.Check(t, func(r *rapid.T) {
		kept, fresh := anyDeployment(r), (*appsv1.Deployment)(nil)
		fresh = kept.DeepCopy()
		kept.Name, kept.UID = "other", "v"
		f.created(target, kept, "m")
		f.track(target, "", fresh, target.row.StorageVersion().New(), "m")
		require.Equal(r, timeless(fresh.ManagedFields), timeless(kept.ManagedFields))
		require.Equal(r, "other", kept.Name)
	})
}

// A client that says again what is so already changes nothing, not even a time.
func TestUpdateWithoutChange(t *testing.T) {
	c := start(t)
	maps := c.client.CoreV1().ConfigMaps("default")
	made, err := maps.Create(t.Context(), configMap("a"), metav1.CreateOptions{FieldManager: "m"})
	require.NoError(t, err)
	again, err := maps.Update(t.Context(), made.DeepCopy(), metav1.UpdateOptions{FieldManager: "m"})
	require.NoError(t, err)
	require.Equal(t, made, again)
	made.ResourceVersion = ""
	again, err = maps.Update(t.Context(), made, metav1.UpdateOptions{FieldManager: "n"})
	require.NoError(t, err)
	require.Len(t, again.ManagedFields, 1)
}

// Who approves a certificate request owns the conditions, and who makes it does not own its spec, which nobody can change.
func TestUnownedFields(t *testing.T) {
	f, target := trackerFor(t, "certificatesigningrequests", certificatesv1.SchemeGroupVersion)
	csr := &certificatesv1.CertificateSigningRequest{TypeMeta: metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequest"}}
	csr.Name, csr.UID, csr.Labels = "c", "u", map[string]string{"a": "b"}
	csr.Spec.SignerName = "example.com/s"
	f.created(target, csr, "maker")
	next := csr.DeepCopy()
	next.Spec.SignerName, next.Status.Certificate = "example.com/other", []byte("x")
	next.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: "Approved", Status: "True"}}
	f.updated(target, "approval", next, csr, "approver")
	require.Equal(t, []string{
		"approver Update certificates.k8s.io/v1 approval " +
			`{"f:status":{"f:conditions":{".":{},"k:{\"type\":\"Approved\"}":{".":{},"f:lastTransitionTime":{},"f:lastUpdateTime":{},"f:status":{},"f:type":{}}}}}` + "\n",
		`maker Update certificates.k8s.io/v1  {"f:metadata":{"f:labels":{".":{},"f:a":{}}}}` + "\n",
	}, timeless(next.ManagedFields))
}
