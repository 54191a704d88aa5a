package bench

import (
	"fmt"
	"strings"
)

// podText is a pod as a Deployment of a small company makes it: labels, an owner's annotations, two containers with probes,
// resources, variables and volumes. NAME takes the place of its name.
const podText = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","namespace":"bench",
"labels":{"app.kubernetes.io/name":"storefront","app.kubernetes.io/instance":"storefront-eu","app.kubernetes.io/version":"2.14.3",
"app.kubernetes.io/component":"web","app.kubernetes.io/part-of":"shop","pod-template-hash":"7c5ddbdf54","team":"checkout"},
"annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"9102","checksum/config":"6a4d1a0e0cf9a1b6f4d86f0d2c3f1f7c9f3e5b1d7a2c4e6f8091a2b3c4d5e6f7"}},
"spec":{"nodeName":"node-17","serviceAccountName":"default","terminationGracePeriodSeconds":45,
"securityContext":{"runAsNonRoot":true,"runAsUser":10001,"fsGroup":10001},
"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"topology.kubernetes.io/zone","whenUnsatisfiable":"ScheduleAnyway",
"labelSelector":{"matchLabels":{"app.kubernetes.io/name":"storefront"}}}],
"containers":[{"name":"web","image":"registry.example.com/shop/storefront:2.14.3","ports":[{"name":"http","containerPort":8080},{"name":"metrics","containerPort":9102}],
"env":[{"name":"POD_NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},{"name":"POD_IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
{"name":"DATABASE_URL","valueFrom":{"secretKeyRef":{"name":"storefront-db","key":"url"}}},{"name":"LOG_LEVEL","value":"info"},
{"name":"OTEL_EXPORTER_OTLP_ENDPOINT","value":"http://otel-collector.observability:4317"}],
"resources":{"requests":{"cpu":"250m","memory":"256Mi"},"limits":{"memory":"512Mi"}},
"livenessProbe":{"httpGet":{"path":"/healthz","port":"http"},"initialDelaySeconds":10,"periodSeconds":15},
"readinessProbe":{"httpGet":{"path":"/readyz","port":"http"},"periodSeconds":5},
"volumeMounts":[{"name":"config","mountPath":"/etc/storefront","readOnly":true},{"name":"cache","mountPath":"/var/cache/storefront"}],
"securityContext":{"allowPrivilegeEscalation":false,"readOnlyRootFilesystem":true,"capabilities":{"drop":["ALL"]}}},
{"name":"proxy","image":"registry.example.com/mesh/proxy:1.9.0","args":["--listen=:15001","--upstream=127.0.0.1:8080"],
"resources":{"requests":{"cpu":"50m","memory":"64Mi"},"limits":{"memory":"128Mi"}}}],
"volumes":[{"name":"config","configMap":{"name":"storefront-config"}},{"name":"cache","emptyDir":{"sizeLimit":"256Mi"}}]}}`

// plainText is a pod as `kubectl create deployment` makes it, set to run on a node: running, it is stored in about 3 KB.
const plainText = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","generateName":"web-7c5ddbdf54-","labels":{"app":"web","pod-template-hash":"7c5ddbdf54"}},
"spec":{"nodeName":"node-17","containers":[{"name":"web","image":"registry.example.com/shop/storefront:2.14.3",
"ports":[{"name":"http","containerPort":8080}],"resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}]}}`

// runningText is the status that a kubelet gives that pod.
const runningText = `"status":{"phase":"Running","hostIP":"10.0.3.17","hostIPs":[{"ip":"10.0.3.17"}],"podIP":"10.244.17.42","podIPs":[{"ip":"10.244.17.42"}],
"startTime":"2026-11-22T10:00:00Z","conditions":[
{"type":"PodReadyToStartContainers","status":"True","lastTransitionTime":"2026-11-22T10:00:02Z"},
{"type":"Initialized","status":"True","lastTransitionTime":"2026-11-22T10:00:00Z"},{"type":"Ready","status":"True","lastTransitionTime":"2026-11-22T10:00:12Z"},
{"type":"ContainersReady","status":"True","lastTransitionTime":"2026-11-22T10:00:12Z"},{"type":"PodScheduled","status":"True","lastTransitionTime":"2026-11-22T10:00:00Z"}],
"containerStatuses":[{"name":"web","ready":true,"started":true,"restartCount":0,"image":"registry.example.com/shop/storefront:2.14.3",
"imageID":"registry.example.com/shop/storefront@sha256:3b1f0c7c2a4de98a6a2b7f3e6d1c0b9a8f7e6d5c4b3a29181716151413121110",
"containerID":"containerd://9f8e7d6c5b4a39281706f5e4d3c2b1a0998877665544332211ffeeddccbbaa00","state":{"running":{"startedAt":"2026-11-22T10:00:03Z"}}}]}`

// pod is the i-th pod of a series, in JSON.
func pod(series string, i int) []byte { return named(podText, series, i) }

// paymentsPod is the same of the team "payments".
func paymentsPod(series string, i int) []byte {
	return named(strings.Replace(podText, `"team":"checkout"`, `"team":"payments"`, 1), series, i)
}

// plainPod is the same of the plain kind.
func plainPod(series string, i int) []byte { return named(plainText, series, i) }

// runningPod is a plain pod that runs.
func runningPod(series string, i int) []byte {
	return named(strings.TrimSuffix(plainText, "}")+","+runningText+"}", series, i)
}

func named(text, series string, i int) []byte {
	return []byte(strings.Replace(text, "NAME", podName(series, i), 1))
}

func podName(series string, i int) string { return fmt.Sprintf("%s-%06d", series, i) }
