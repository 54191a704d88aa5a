package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"
)

// post creates the YAML documents at the paths that their first lines name, as in "# /api/v1/namespaces".
func (s *server) post(documents string) {
	s.Helper()
	for _, doc := range strings.Split(documents, "\n---\n") {
		line, body, _ := strings.Cut(strings.TrimSpace(doc), "\n")
		json, err := yaml.YAMLToJSON([]byte(body))
		require.NoError(s, err)
		got := s.send("POST "+strings.TrimPrefix(line, "# "), json)
		require.Equal(s, 201, got.code, string(got.body))
	}
}

const admissionPath = "/apis/admissionregistration.k8s.io/v1/"

func TestAPolicyWithParametersRefuses(t *testing.T) {
	s := startServer(t)
	s.post(`
# ` + admissionPath + `validatingadmissionpolicies
metadata: {name: sizes}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules: [{operations: [CREATE, UPDATE], apiGroups: [""], apiVersions: [v1], resources: [secrets]}]
  matchConditions:
  - {name: not-mine, expression: "!object.metadata.name.startsWith('mine')"}
  variables:
  - {name: size, expression: "has(object.stringData) ? object.stringData.size() : (has(object.data) ? object.data.size() : 0)"}
  - {name: most, expression: "int(params.data['most'])"}
  validations:
  - expression: variables.size <= variables.most
    messageExpression: "'at most ' + string(variables.most) + ' in ' + namespaceObject.metadata.name + ', not ' + string(variables.size)"
    reason: Forbidden
  - {expression: "object.metadata.name != 'bad'", message: "a bad name"}
  - {expression: "request.operation == 'CREATE' || authorizer.requestResource.check('delete').allowed()"}
---
# ` + admissionPath + `validatingadmissionpolicybindings
metadata: {name: everywhere}
spec:
  policyName: sizes
  validationActions: [Deny]
  paramRef: {name: sizes, namespace: default, parameterNotFoundAction: Deny}
`)
	secret := func(name, data string) answer {
		return s.send("POST /api/v1/namespaces/kube-system/secrets", []byte(`{"metadata":{"name":"`+name+`"},"data":`+data+`}`))
	}
	got := secret("a", "{}")
	require.Equal(t, 422, got.code)
	require.Contains(t, string(got.body), `"message":"secrets \"a\" is forbidden: ValidatingAdmissionPolicy 'sizes' with binding 'everywhere' denied request: `+
		"failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction\",\"reason\":\"Invalid\"")

	s.post(`
# /api/v1/namespaces/default/configmaps
metadata: {name: sizes}
data: {most: "1"}
`)
	require.Equal(t, 201, secret("a", `{"a":""}`).code)
	require.Equal(t, 201, secret("mine", `{"a":"","b":""}`).code)
	got = secret("b", `{"a":"","b":""}`)
	require.Equal(t, 403, got.code)
	require.Contains(t, string(got.body), `"message":"secrets \"b\" is forbidden: ValidatingAdmissionPolicy 'sizes' with binding 'everywhere' denied request: `+
		`at most 1 in kube-system, not 2","reason":"Forbidden","details":{"name":"b","kind":"secrets","causes":[{"message":"ValidatingAdmissionPolicy 'sizes'`)
	got = secret("bad", `{}`)
	require.Equal(t, 422, got.code)
	require.Contains(t, string(got.body), `denied request: a bad name","reason":"Invalid"`)

	got = s.send("PUT /api/v1/namespaces/kube-system/secrets/a", []byte(`{"metadata":{"name":"a"},"data":{"a":"Yg=="}}`))
	require.Equal(t, 200, got.code, string(got.body))
	got = s.send("PATCH /api/v1/namespaces/default/configmaps/sizes", []byte(`{"data":{"most":"2"}}`), "Content-Type: application/merge-patch+json")
	require.Equal(t, 200, got.code, string(got.body))
	require.Equal(t, 201, secret("b", `{"a":"","b":""}`).code, "a changed parameter holds at once")
}

func TestPoliciesWarnAndFail(t *testing.T) {
	s := startServer(t)
	policy := func(name, expression, failurePolicy, actions string) {
		s.post(`
# ` + admissionPath + `validatingadmissionpolicies
metadata: {name: ` + name + `}
spec:
  failurePolicy: ` + failurePolicy + `
  matchConstraints:
    objectSelector: {matchLabels: {for: ` + name + `}}
    resourceRules: [{operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: [configmaps]}]
  validations: [{expression: "` + expression + `"}]
---
# ` + admissionPath + `validatingadmissionpolicybindings
metadata: {name: ` + name + `}
spec: {policyName: ` + name + `, validationActions: ` + actions + `}
`)
	}
	policy("warn", "object.data.a == 'b'", "Fail", "[Warn, Audit]")
	policy("error", "object.spec.x == 1", "Fail", "[Deny]")
	policy("ignored", "object.spec.x == 1", "Ignore", "[Deny]")
	policy("dear", "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, "+
		"[1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, [1,2,3,4,5,6,7,8,9,10].all(g, a + b + c + d + e + f + g > 0)))))))", "Fail", "[Deny]")
	create := func(label string) answer {
		return s.send("POST /api/v1/namespaces/default/configmaps", []byte(`{"metadata":{"name":"`+label+`","labels":{"for":"`+label+`"}},"data":{"a":"c"}}`))
	}
	got := create("warn")
	require.Equal(t, 201, got.code)
	require.Equal(t, `299 - "Validation failed for ValidatingAdmissionPolicy 'warn' with binding 'warn': failed expression: object.data.a == 'b'"`, got.header.Get("Warning"))
	got = create("error")
	require.Equal(t, 422, got.code)
	require.Contains(t, string(got.body), `denied request: expression 'object.spec.x == 1' resulted in error: no such key: spec`)
	require.Equal(t, 201, create("ignored").code)
	got = create("dear")
	require.Equal(t, 422, got.code)
	require.Contains(t, string(got.body), `operation cancelled: actual cost limit exceeded`)
	require.Equal(t, 201, create("other").code)

	_, err := s.client.CoreV1().ConfigMaps("default").Apply(t.Context(), v1.ConfigMap("applied", "default").WithLabels(map[string]string{"for": "error"}),
		metav1.ApplyOptions{FieldManager: "test"})
	require.True(t, apierrors.IsInvalid(err), err)
}

func TestMutatingPolicies(t *testing.T) {
	s := startServer(t)
	s.post(`
# ` + admissionPath + `mutatingadmissionpolicies
metadata: {name: a-sidecar}
spec:
  reinvocationPolicy: IfNeeded
  matchConstraints:
    resourceRules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        Object{
          metadata: Object.metadata{annotations: {"containers": string(object.spec.containers.size() + 1)}},
          spec: Object.spec{
            initContainers: [Object.spec.initContainers{name: "side", image: "side", restartPolicy: "Always"}]}
        }
---
# ` + admissionPath + `mutatingadmissionpolicybindings
metadata: {name: a-sidecar}
spec: {policyName: a-sidecar}
---
# ` + admissionPath + `mutatingadmissionpolicies
metadata: {name: b-container}
spec:
  reinvocationPolicy: Never
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}]
  matchConditions: [{name: once, expression: "!object.spec.containers.exists(c, c.name == 'more')"}]
  variables: [{name: image, expression: "params.data.image"}]
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        [JSONPatch{op: "test", path: "/kind", value: "Pod"},
         JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "more", image: variables.image}},
         JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("a/b"), value: string(object.spec.initContainers.size())}]
---
# ` + admissionPath + `mutatingadmissionpolicybindings
metadata: {name: b-container}
spec: {policyName: b-container, paramRef: {selector: {matchLabels: {for: containers}}, parameterNotFoundAction: Deny}}
---
# /api/v1/namespaces/default/configmaps
metadata: {name: p, labels: {for: containers}}
data: {image: from-params}
---
# /api/v1/namespaces/default/serviceaccounts
metadata: {name: default}
---
# /api/v1/namespaces/kube-system/serviceaccounts
metadata: {name: default}
---
# /api/v1/namespaces/default/pods
metadata: {name: web}
spec: {automountServiceAccountToken: false, containers: [{name: web, image: web}]}
`)
	pod, err := s.client.CoreV1().Pods("default").Get(t.Context(), "web", metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, pod.Spec.Containers, 2)
	require.Equal(t, "from-params", pod.Spec.Containers[1].Image)
	require.Equal(t, "File", string(pod.Spec.Containers[1].TerminationMessagePolicy), "defaulted like all that clients say")
	require.Len(t, pod.Spec.InitContainers, 1)
	require.Equal(t, "3", pod.Annotations["containers"], "the first policy was asked again after the second")
	require.Equal(t, "1", pod.Annotations["a/b"])

	got := s.send("POST /api/v1/namespaces/kube-system/pods", []byte(`{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"web"}]}}`))
	require.Equal(t, 403, got.code)
	require.Contains(t, string(got.body), `"message":"policy 'b-container' with binding 'b-container' denied request: failed to configure binding: no params found`)
}

func TestMutatingPoliciesRefuse(t *testing.T) {
	s := startServer(t)
	s.post(`
# ` + admissionPath + `mutatingadmissionpolicies
metadata: {name: atomic}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [services]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{spec: Object.spec{selector: Object.spec.selector{a: 'b'}}}"}
---
# ` + admissionPath + `mutatingadmissionpolicybindings
metadata: {name: atomic}
spec: {policyName: atomic}
`)
	got := s.send("POST /api/v1/namespaces/default/services", []byte(`{"metadata":{"name":"a"},"spec":{"ports":[{"port":1}]}}`))
	require.Equal(t, 403, got.code)
	require.Contains(t, string(got.body), `"message":"policy 'atomic' with binding 'atomic' denied request: error applying patch: `+
		`invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector","reason":"Invalid"`)
}

func TestExpressionsAreCheckedAgainstSchemas(t *testing.T) {
	c := startControllers(t)
	c.post(`
# ` + admissionPath + `validatingadmissionpolicies
metadata: {name: typos}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
    - {operations: ["*"], apiGroups: [apps], apiVersions: [v1], resources: [deployments, replicasets, deployments/scale]}
    - {operations: ["*"], apiGroups: ["*"], apiVersions: [v1], resources: [pods]}
  variables: [{name: containers, expression: object.spec.template.spec.containers}]
  validations:
  - {expression: "object.spec.replicas > 1 && object.spec.strategy.type == 'Recreate'"}
  - {expression: "variables.containers.all(c, c.imagePullPolicy == 'Always')", messageExpression: "string(object.spec.template.nam)"}
  - {expression: "params.spec == 1"}
`)
	policies := c.client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	var status admissionv1.ValidatingAdmissionPolicyStatus
	c.until("the policy has been checked", func() bool {
		p, err := policies.Get(t.Context(), "typos", metav1.GetOptions{})
		require.NoError(t, err)
		status = p.Status
		return status.ObservedGeneration == 1
	})
	text, err := yaml.Marshal(status.TypeChecking)
	require.NoError(t, err)
	require.Equal(t, `expressionWarnings:
- fieldRef: spec.validations[0].expression
  warning: |
    apps/v1, Kind=ReplicaSet: ERROR: <input>:1:40: undefined field 'strategy'
     | object.spec.replicas > 1 && object.spec.strategy.type == 'Recreate'
     | .......................................^
- fieldRef: spec.validations[1].messageExpression
  warning: |
    apps/v1, Kind=Deployment: ERROR: <input>:1:28: undefined field 'nam'
     | string(object.spec.template.nam)
     | ...........................^

    apps/v1, Kind=ReplicaSet: ERROR: <input>:1:28: undefined field 'nam'
     | string(object.spec.template.nam)
     | ...........................^
- fieldRef: spec.validations[2].expression
  warning: |
    apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'spec'
     | params.spec == 1
     | ......^

    apps/v1, Kind=ReplicaSet: ERROR: <input>:1:7: undefined field 'spec'
     | params.spec == 1
     | ......^
`, string(text))
}

func TestParametersMayBeOfACustomKind(t *testing.T) {
	s := startServer(t)
	s.post(`
# /apis/apiextensions.k8s.io/v1/customresourcedefinitions
metadata: {name: limits.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: limits, singular: limit, kind: Limit, listKind: LimitList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {most: {type: integer}}}}
---
# ` + admissionPath + `validatingadmissionpolicies
metadata: {name: sizes}
spec:
  paramKind: {apiVersion: example.com/v1, kind: Limit}
  matchConstraints:
    resourceRules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [secrets]}]
  validations: [{expression: "object.data.size() <= params.most", messageExpression: "'at most ' + string(params.most) + ' by ' + params.kind"}]
---
# ` + admissionPath + `validatingadmissionpolicybindings
metadata: {name: sizes}
spec: {policyName: sizes, validationActions: [Deny], paramRef: {name: small, parameterNotFoundAction: Deny}}
`)
	s.until("the kind is served", func() bool {
		return s.send("POST /apis/example.com/v1/limits", []byte(`{"apiVersion":"example.com/v1","kind":"Limit","metadata":{"name":"small"},"most":1}`)).code == 201
	})
	got := s.send("POST /api/v1/namespaces/default/secrets", []byte(`{"metadata":{"name":"a"},"data":{"a":"","b":""}}`))
	require.Equal(t, 422, got.code)
	require.Contains(t, string(got.body), "denied request: at most 1 by Limit")
	require.Equal(t, 201, s.send("POST /api/v1/namespaces/default/secrets", []byte(`{"metadata":{"name":"a"},"data":{"a":""}}`)).code)
}
