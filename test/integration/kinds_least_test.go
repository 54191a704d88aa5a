package integration

import "strings"

const jobTemplate = `{template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}`

const podTemplate = `{selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}`

const barePodTemplate = `{metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}`

// A certificate request, a certificate and a stub of a request, all of the same key.
const (
	certificateRequest = `LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHZE1GRUNBUUF3SGpFTU1Bb0dBMVVFQ2hNRFpHVjJNUTR3REFZRFZRUURFd1ZoYkdsalpUQXFNQVVHQXl0bApjQU1oQUlSRzZqQ2lDd0JZZnZ3MEZzcG90eCtxWWx3TUJEVlQvZldSakV6MDM5dmVvQUF3QlFZREsyVndBMEVBCmNYYW9hQnJrUWQ3ZGNKOUl0bTcrTHJyU1UwQytyaE4vbUw0U282a29kSDBRdWxpR3hlNnZzV1Vnb1c0ZmI3MTkKZEN6bTlNMWtuNVF5d0RJZHBoNGZBUT09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=`
	certificate        = `"-----BEGIN CERTIFICATE-----\nMIH6MIGtoAMCAQICAQEwBQYDK2VwMA0xCzAJBgNVBAMTAmNhMB4XDTAxMDkwOTAx\nNDY0MFoXDTAxMDkxOTAxNDY0MFowDTELMAkGA1UEAxMCY2EwKjAFBgMrZXADIQCE\nRuowogsAWH78NBbKaLcfqmJcDAQ1U/31kYxM9N/b3qMyMDAwDwYDVR0TAQH/BAUw\nAwEB/zAdBgNVHQ4EFgQUXWB0br/P+repxvCf6gUv68qkvJUwBQYDK2VwA0EAeAjI\nJSceGsfA6Z6NcaOtMIx3Lg/eN7X6YjLTqFKZgseb6k5q/So/gTC5yU2p8w/c8B9t\no33pocCfheIcmOLOAg==\n-----END CERTIFICATE-----\n"`
	stubRequest        = `MH8wMwIBADAAMCowBQYDK2VwAyEAhEbqMKILAFh+/DQWymi3H6piXAwENVP99ZGMTPTf296gADAFBgMrZXADQQCOFkbfv4h9yNN+4FLlh+zmNGWesCEIQ4wkI6/eP4VWSBoqYSnI3iuCN6V4Dqnm1+rql3DgWGx5xbsiiuWiw7wK`
)

const rulesOfThings = `[{apiGroups: [example.com], apiVersions: [v1], operations: [CREATE], resources: [things]}]`

const hook = `webhooks: [{name: a.example.com, admissionReviewVersions: [v1], sideEffects: None, clientConfig: {url: "https://127.0.0.1:1"}, rules: ` + rulesOfThings + `}]`

// least is what an object of each kind needs besides a name; for events, at each version.
var least = map[string]string{
	"v1 ConfigMap":                                                     `data: {k: v}`,
	"v1 Endpoints":                                                     `subsets: [{addresses: [{ip: 10.244.0.2}], ports: [{port: 80}]}]`,
	"v1 Event":                                                         `involvedObject: {kind: Pod, namespace: default, name: p}`,
	"events.k8s.io/v1 Event":                                           `{eventTime: "2026-01-02T03:04:05.000006Z", reportingController: c/c, reportingInstance: i, action: a, reason: r, type: Normal, regarding: {namespace: default}}`,
	"v1 Namespace":                                                     `{}`,
	"v1 Node":                                                          `{}`,
	"v1 PodTemplate":                                                   `template: ` + barePodTemplate,
	"v1 ReplicationController":                                         `spec: {template: ` + barePodTemplate + `}`,
	"v1 Pod":                                                           `spec: {containers: [{name: c, image: i}]}`,
	"v1 Secret":                                                        `data: {k: dg==}`,
	"v1 ServiceAccount":                                                `{}`,
	"v1 Service":                                                       `spec: {ports: [{port: 80}]}`,
	"apps/v1 ControllerRevision":                                       `data: {spec: {}}`,
	"apps/v1 DaemonSet":                                                `spec: ` + podTemplate,
	"apps/v1 Deployment":                                               `spec: ` + podTemplate,
	"apps/v1 ReplicaSet":                                               `spec: ` + podTemplate,
	"apps/v1 StatefulSet":                                              `spec: ` + podTemplate,
	"autoscaling/v1 HorizontalPodAutoscaler":                           `spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}`,
	"autoscaling/v2 HorizontalPodAutoscaler":                           `spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}`,
	"batch/v1 CronJob":                                                 `spec: {schedule: "@daily", jobTemplate: {spec: ` + jobTemplate + `}}`,
	"batch/v1 Job":                                                     `spec: ` + jobTemplate,
	"coordination.k8s.io/v1 Lease":                                     `{}`,
	"discovery.k8s.io/v1 EndpointSlice":                                `{addressType: IPv4, endpoints: [{addresses: [10.244.0.2]}]}`,
	"networking.k8s.io/v1 Ingress":                                     `spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}`,
	"networking.k8s.io/v1 IngressClass":                                `spec: {controller: example.com/ingress}`,
	"networking.k8s.io/v1 NetworkPolicy":                               `spec: {podSelector: {}}`,
	"node.k8s.io/v1 RuntimeClass":                                      `handler: runc`,
	"networking.k8s.io/v1 IPAddress":                                   `{metadata: {name: 10.96.77.7}, spec: {parentRef: {resource: services, namespace: default, name: x}}}`,
	"networking.k8s.io/v1 ServiceCIDR":                                 `spec: {cidrs: [10.97.0.0/24]}`,
	"policy/v1 PodDisruptionBudget":                                    `spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}`,
	"scheduling.k8s.io/v1 PriorityClass":                               `value: 7`,
	"rbac.authorization.k8s.io/v1 Role":                                `rules: [{verbs: [get], apiGroups: [""], resources: [pods]}]`,
	"rbac.authorization.k8s.io/v1 ClusterRole":                         `rules: [{verbs: [get], nonResourceURLs: [/metrics]}]`,
	"rbac.authorization.k8s.io/v1 RoleBinding":                         `roleRef: {kind: Role, name: r}`,
	"rbac.authorization.k8s.io/v1 ClusterRoleBinding":                  `{roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: u}]}`,
	"v1 LimitRange":                                                    `spec: {limits: [{type: Container, default: {cpu: 100m}}]}`,
	"v1 PersistentVolume":                                              `spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /tmp}}`,
	"v1 PersistentVolumeClaim":                                         `spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}`,
	"v1 ResourceQuota":                                                 `spec: {hard: {"count/leases.coordination.k8s.io": 100}}`,
	"certificates.k8s.io/v1 CertificateSigningRequest":                 `spec: {signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], request: ` + certificateRequest + `}`,
	"certificates.k8s.io/v1 ClusterTrustBundle":                        `spec: {trustBundle: ` + certificate + `}`,
	"certificates.k8s.io/v1 PodCertificateRequest":                     `spec: {signerName: example.com/signer, podName: p, podUID: u, serviceAccountName: s, serviceAccountUID: u, nodeName: node-1, nodeUID: u, stubPKCS10Request: ` + stubRequest + `}`,
	"resource.k8s.io/v1 DeviceClass":                                   `spec: {selectors: [{cel: {expression: device.driver == "gpu.example.com"}}]}`,
	"resource.k8s.io/v1 DeviceTaintRule":                               `spec: {taint: {key: example.com/sick, effect: NoSchedule}}`,
	"resource.k8s.io/v1 ResourceClaim":                                 `spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu.example.com}}]}}`,
	"resource.k8s.io/v1 ResourceClaimTemplate":                         `spec: {spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu.example.com}}]}}}`,
	"resource.k8s.io/v1 ResourceSlice":                                 `spec: {driver: gpu.example.com, nodeName: node-1, pool: {name: node-1, resourceSliceCount: 1}, devices: [{name: gpu-0}]}`,
	"storage.k8s.io/v1 CSIDriver":                                      `spec: {}`,
	"storage.k8s.io/v1 CSINode":                                        `spec: {drivers: [{name: example.com, nodeID: node-1, topologyKeys: [example.com/rack]}]}`,
	"storage.k8s.io/v1 CSIStorageCapacity":                             `{storageClassName: fast, capacity: 1Gi}`,
	"storage.k8s.io/v1 StorageClass":                                   `provisioner: example.com/disks`,
	"storage.k8s.io/v1 VolumeAttachment":                               `spec: {attacher: example.com, nodeName: node-1, source: {persistentVolumeName: pv}}`,
	"storage.k8s.io/v1 VolumeAttributesClass":                          `{driverName: example.com, parameters: {iops: "100"}}`,
	"storagemigration.k8s.io/v1 StorageVersionMigration":               `spec: {resource: {resource: secrets}}`,
	"admissionregistration.k8s.io/v1 MutatingWebhookConfiguration":     hook,
	"admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration":   hook,
	"admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy":        `spec: {matchConstraints: {resourceRules: ` + rulesOfThings + `}, validations: [{expression: "true"}]}`,
	"admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding": `spec: {policyName: none.example.com, validationActions: [Deny]}`,
	"admissionregistration.k8s.io/v1 MutatingAdmissionPolicy": `spec: {reinvocationPolicy: Never, matchConstraints: {resourceRules: ` + rulesOfThings + `}, ` +
		`mutations: [{patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: \"remove\", path: \"/spec/x\"}]"}}]}`,
	"admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding": `spec: {policyName: none.example.com}`,
	"apiregistration.k8s.io/v1 APIService": `{metadata: {name: v1.example.com}, spec: {group: example.com, version: v1, ` +
		`groupPriorityMinimum: 1000, versionPriority: 15}}`,
	"flowcontrol.apiserver.k8s.io/v1 FlowSchema":                 `spec: {priorityLevelConfiguration: {name: system}}`,
	"flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration": `spec: {type: Limited, limited: {limitResponse: {type: Reject}}}`,
}

const tested = `conditions: [{type: Tested, status: "True", reason: Tested, message: by this test, lastTransitionTime: "2026-01-02T03:04:05Z"}]`

// statuses are something else than the first status of each kind that has one.
var statuses = map[string]string{
	"APIService":                 tested,
	"CertificateSigningRequest":  `conditions: [{type: Failed, status: "True", reason: Tested}]`,
	"CronJob":                    `lastScheduleTime: "2026-01-02T03:04:05Z"`,
	"DaemonSet":                  `desiredNumberScheduled: 1`,
	"Deployment":                 `replicas: 1`,
	"DeviceTaintRule":            tested,
	"FlowSchema":                 tested,
	"HorizontalPodAutoscaler":    `currentReplicas: 1`,
	"Ingress":                    `loadBalancer: {ingress: [{ip: 192.0.2.1}]}`,
	"Job":                        `active: 1`,
	"Namespace":                  tested,
	"Node":                       tested,
	"PersistentVolume":           `{phase: Released, message: tested}`,
	"PersistentVolumeClaim":      `phase: Lost`,
	"Pod":                        `{phase: Running, message: tested}`,
	"PodCertificateRequest":      strings.Replace(tested, "type: Tested", "type: Failed", 1),
	"PodDisruptionBudget":        `currentHealthy: 1`,
	"PriorityLevelConfiguration": tested,
	"ReplicaSet":                 `replicas: 1`,
	"ReplicationController":      `replicas: 1`,
	"ResourceClaim":              `allocation: {devices: {results: [{request: gpu, driver: gpu.example.com, pool: p, device: d}]}}`,
	"ResourceQuota":              `used: {"count/leases.coordination.k8s.io": 1}`,
	"Service":                    tested,
	"ServiceCIDR":                tested,
	"StatefulSet":                `replicas: 1`,
	"StorageVersionMigration":    tested,
	"ValidatingAdmissionPolicy":  tested,
	"VolumeAttachment":           `attached: true`,
}

// saidOf are the kinds whose objects the server says something about, once, when they are made.
var saidOf = map[string]bool{"FlowSchema": true}
