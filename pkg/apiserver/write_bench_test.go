package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
)

// What the verbs that write cost above the store: it acknowledges and keeps nothing.

// benchmarkWrite calls the handler with what next returns; setup was sent before, to the real store.
func benchmarkWrite(b *testing.B, c *cluster, code int, next func(i int) (method, path, body string, headers []string)) {
	c.server.store = nothing{c.server.store}
	send := func(i int) {
		method, path, body, headers := next(i)
		if w := c.call(method, path, body, headers...); w.status != code {
			b.Fatal(w.status, body)
		}
	}
	send(0) // reads the schemas
	defer countCPU(b)()
	for i := range b.N {
		send(i + 1)
	}
}

// stored is what the store has under key.
func (c *cluster) stored(key string) *store.Object {
	o, err := c.store.Get(c.t.Context(), key, store.ReadAt{})
	require.NoError(c.t, err)
	return o
}

const benchLease = `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"node-00","namespace":"default",%s
"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"node-00","uid":"5b2f6f0e-8f3a-4a55-9a53-0d7d3a3b8c11"}]},
"spec":{"holderIdentity":"node-00","leaseDurationSeconds":40,"renewTime":"%s"}}`

// BenchmarkUpdateLease is what every kubelet does every ten seconds.
func BenchmarkUpdateLease(b *testing.B) {
	c := start(b)
	const path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	text := func(rev string, i int) string {
		return fmt.Sprintf(benchLease, rev, at.Add(time.Duration(i)*time.Millisecond).Format("2006-01-02T15:04:05.000000Z"))
	}
	require.Equal(b, http.StatusCreated, c.call("POST", path, text("", 0)).status)
	rev := fmt.Sprintf(`"resourceVersion":"%d",`, c.stored("/registry/leases/default/node-00").Rev)
	benchmarkWrite(b, c, http.StatusOK, func(i int) (string, string, string, []string) {
		return "PUT", path + "/node-00", text(rev, i+1), []string{"Content-Type", typeJSON}
	})
}

const benchRunning = `"status":{"phase":"Running","hostIP":"10.0.3.17","hostIPs":[{"ip":"10.0.3.17"}],"podIP":"10.244.17.42","podIPs":[{"ip":"10.244.17.42"}],
"startTime":"2026-11-22T10:00:00Z","conditions":[
{"type":"PodReadyToStartContainers","status":"True","lastTransitionTime":"2026-11-22T10:00:02Z"},
{"type":"Initialized","status":"True","lastTransitionTime":"2026-11-22T10:00:00Z"},{"type":"Ready","status":"True","lastTransitionTime":"2026-11-22T10:00:12Z"},
{"type":"ContainersReady","status":"True","lastTransitionTime":"2026-11-22T10:00:12Z"},{"type":"PodScheduled","status":"True","lastTransitionTime":"2026-11-22T10:00:00Z"}],
"containerStatuses":[{"name":"c","ready":true,"started":true,"restartCount":0,"image":"registry.example.com/shop/storefront:2.14.3",
"imageID":"registry.example.com/shop/storefront@sha256:3b1f0c7c2a4de98a6a2b7f3e6d1c0b9a8f7e6d5c4b3a29181716151413121110",
"containerID":"containerd://9f8e7d6c5b4a39281706f5e4d3c2b1a0998877665544332211ffeeddccbbaa00","state":{"running":{"startedAt":"2026-11-22T10:00:03Z"}}}]}`

const benchRestarted = `{"status":{"$setElementOrder/conditions":[{"type":"PodReadyToStartContainers"},{"type":"Initialized"},{"type":"Ready"},
{"type":"ContainersReady"},{"type":"PodScheduled"}],"conditions":[
{"type":"Ready","status":"True","lastTransitionTime":"2026-11-22T11:00:12Z"},{"type":"ContainersReady","status":"True","lastTransitionTime":"2026-11-22T11:00:12Z"}],
"containerStatuses":[{"name":"c","ready":true,"started":true,"restartCount":%d,"image":"registry.example.com/shop/storefront:2.14.3",
"imageID":"registry.example.com/shop/storefront@sha256:3b1f0c7c2a4de98a6a2b7f3e6d1c0b9a8f7e6d5c4b3a29181716151413121110",
"containerID":"containerd://9f8e7d6c5b4a39281706f5e4d3c2b1a0998877665544332211ffeeddccbbaa00","state":{"running":{"startedAt":"2026-11-22T11:00:03Z"}}}]}}`

// BenchmarkPatchRestarted is a kubelet that tells that a container of a running pod was restarted.
func BenchmarkPatchRestarted(b *testing.B) {
	c := start(b)
	const path = "/api/v1/namespaces/default/pods"
	pod := strings.TrimSuffix(fmt.Sprintf(benchPod, "p"), "}") + "," + benchRunning + "}"
	require.Equal(b, http.StatusCreated, c.call("POST", path, pod).status)
	require.Equal(b, http.StatusOK, c.call("PUT", path+"/p/status", pod).status)
	benchmarkWrite(b, c, http.StatusOK, func(i int) (string, string, string, []string) {
		return "PATCH", path + "/p/status", fmt.Sprintf(benchRestarted, i+1),
			[]string{"Content-Type", "application/strategic-merge-patch+json", "Accept", typeJSON}
	})
}

const benchApplied = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"%[1]s","namespace":"default",
"labels":{"app.kubernetes.io/name":"storefront","app.kubernetes.io/version":"2.14.%[2]d","team":"checkout"}},
"spec":{"replicas":3,"selector":{"matchLabels":{"app.kubernetes.io/name":"storefront"}},
"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1,"maxUnavailable":0}},
"template":{"metadata":{"labels":{"app.kubernetes.io/name":"storefront","app.kubernetes.io/version":"2.14.%[2]d"}},
"spec":{"securityContext":{"runAsNonRoot":true,"runAsUser":10001},
"containers":[{"name":"web","image":"registry.example.com/shop/storefront:2.14.%[2]d","ports":[{"name":"http","containerPort":8080}],
"env":[{"name":"LOG_LEVEL","value":"info"},{"name":"DATABASE_URL","valueFrom":{"secretKeyRef":{"name":"storefront-db","key":"url"}}}],
"resources":{"requests":{"cpu":"250m","memory":"256Mi"},"limits":{"memory":"512Mi"}},
"readinessProbe":{"httpGet":{"path":"/readyz","port":"http"},"periodSeconds":5},
"volumeMounts":[{"name":"config","mountPath":"/etc/storefront","readOnly":true}]}],
"volumes":[{"name":"config","configMap":{"name":"storefront-config"}}]}}}}`

// BenchmarkApply is a pipeline that applies a Deployment: one that there is not yet, in another version, and as it is already.
func BenchmarkApply(b *testing.B) {
	const path = "/apis/apps/v1/namespaces/default/deployments/"
	headers := []string{"Content-Type", "application/apply-patch+yaml", "Accept", typeJSON}
	for _, x := range []struct {
		name string
		code int
		of   func(i int) (string, int)
	}{
		{"new", http.StatusCreated, func(i int) (string, int) { return fmt.Sprint("new", i), i }},
		{"changed", http.StatusOK, func(i int) (string, int) { return "d", i + 1 }},
		{"same", http.StatusOK, func(int) (string, int) { return "d", 0 }},
	} {
		b.Run(x.name, func(b *testing.B) {
			c := start(b)
			send := func(i int) (string, string, string, []string) {
				name, version := x.of(i)
				return "PATCH", path + name + "?fieldManager=pipeline", fmt.Sprintf(benchApplied, name, version), headers
			}
			require.Equal(b, http.StatusCreated, c.call("PATCH", path+"d?fieldManager=pipeline", fmt.Sprintf(benchApplied, "d", 0), headers...).status)
			benchmarkWrite(b, c, x.code, send)
		})
	}
}

// BenchmarkDelete is how a kubelet removes a pod that has ended.
func BenchmarkDelete(b *testing.B) {
	c := start(b)
	require.Equal(b, http.StatusCreated, c.call("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, "p")).status)
	benchmarkWrite(b, c, http.StatusOK, func(int) (string, string, string, []string) {
		return "DELETE", "/api/v1/namespaces/default/pods/p", `{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0}`,
			[]string{"Content-Type", typeJSON}
	})
}
