package admissionpolicystatus

import (
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"bonsai/pkg/reconcile/plantest"
)

// tree is a schema that contains itself.
func tree() map[string]*spec.Schema {
	node := &spec.Schema{}
	node.Type = spec.StringOrArray{"object"}
	node.Properties = map[string]spec.Schema{
		"name":  *spec.StringProperty(),
		"child": *spec.RefProperty("#/components/schemas/node"),
	}
	return map[string]*spec.Schema{"node": node}
}

func TestPlan(t *testing.T) {
	all := tree()
	decl := common.SchemaDeclType(&openapi.Schema{Schema: resolved(all, all["node"], []string{"node"})}, true).MaybeAssignTypeName("Node")
	kinds := []kind{{schema.GroupVersionKind{Group: "g", Version: "v1", Kind: "Node"}, decl}}
	policy := func(observed int64, expressions ...string) *admissionv1.ValidatingAdmissionPolicy {
		p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", Generation: 2},
			Status: admissionv1.ValidatingAdmissionPolicyStatus{ObservedGeneration: observed}}
		for _, e := range expressions {
			p.Spec.Validations = append(p.Spec.Validations, admissionv1.Validation{Expression: e})
		}
		return p
	}
	for name, c := range map[string]struct {
		state state
		want  string
	}{
		"checked already": {state{policy: policy(2, "nonsense(")}, "nothing to do\n"},
		"as it should be": {state{policy: policy(1, "object.name == 'a'", "object.child.anything == 1"), kinds: kinds}, `update status ValidatingAdmissionPolicy p: generation 2 of the policy has been checked against 1 kinds
    status:
      observedGeneration: 2
      typeChecking: {}
`},
		"misspelt": {state{policy: policy(0, "object.nam == 'a'"), kinds: kinds}, `update status ValidatingAdmissionPolicy p: generation 2 of the policy has been checked against 1 kinds
    status:
      observedGeneration: 2
      typeChecking:
        expressionWarnings:
        - fieldRef: spec.validations[0].expression
          warning: |
            g/v1, Kind=Node: ERROR: <input>:1:7: undefined field 'nam'
             | object.nam == 'a'
             | ......^
`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, plantest.Text(t, plan(c.state, plantest.Now)))
		})
	}
}
