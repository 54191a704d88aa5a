package policy

import (
	"context"
	"testing"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// reader may read what its name says, and remembers what was asked.
type reader struct{ asked []auth.Request }

func (r *reader) Authorize(_ context.Context, q auth.Request) (auth.Decision, string, error) {
	r.asked = append(r.asked, q)
	if q.User.Name == q.Resource {
		return auth.Allow, "", nil
	}
	return auth.NoOpinion, "", nil
}

// policies has one, with ConfigMaps as parameters.
type policies struct{ admission.Getter }

func (policies) Get(_ context.Context, r schema.GroupResource, _, name string) (resource.Object, error) {
	if r.Resource == "validatingadmissionpolicies" && name == "p" {
		return withParams("ConfigMap"), nil
	}
	return nil, apierrors.NewNotFound(r, name)
}

func withParams(kind string) *admissionv1.ValidatingAdmissionPolicy {
	return &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{ParamKind: &admissionv1.ParamKind{APIVersion: "v1", Kind: kind}}}
}

func bound(policy, param string) *admissionv1.ValidatingAdmissionPolicyBinding {
	return &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "b"},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: policy, ParamRef: &admissionv1.ParamRef{Name: param, Namespace: "ns"}}}
}

func TestWhoWritesAPolicyMustBeAbleToReadItsParameters(t *testing.T) {
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	for _, c := range []struct {
		what      string
		user      auth.User
		next, old resource.Object
		want      string
	}{
		{"a policy", auth.User{Name: "eve", Groups: []string{"g"}}, withParams("ConfigMap"), nil,
			`ValidatingAdmissionPolicy.admissionregistration.k8s.io "p" is invalid: spec.paramKind: Forbidden: user &{eve  [g] map[]} ` +
				`must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)`},
		{"by one who may", auth.User{Name: "configmaps"}, withParams("ConfigMap"), nil, ""},
		{"by one who may do everything", auth.User{Name: "eve", Groups: []string{auth.Superusers}}, withParams("ConfigMap"), nil, ""},
		{"that had the same before", auth.User{Name: "eve"}, withParams("ConfigMap"), withParams("ConfigMap"), ""},
		{"that had others before", auth.User{Name: "configmaps"}, withParams("Secret"), withParams("ConfigMap"),
			`ValidatingAdmissionPolicy.admissionregistration.k8s.io "p" is invalid: spec.paramKind: Forbidden: user &{configmaps  [] map[]} ` +
				`must have "get" permission on all objects of the referenced paramKind (kind=Secret, apiVersion=v1)`},
		{"a binding", auth.User{Name: "eve"}, bound("p", "c"), nil,
			`ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io "b" is invalid: spec.paramRef: Forbidden: user &{eve  [] map[]} ` +
				`does not have "get" permission on the object referenced by paramRef`},
		{"by one who may", auth.User{Name: "configmaps"}, bound("p", "c"), nil, ""},
		{"to a policy that is not there", auth.User{Name: "configmaps"}, bound("q", "c"), nil,
			`ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io "b" is invalid: spec.paramRef: Forbidden: user &{configmaps  [] map[]} ` +
				`does not have "get" permission on the object referenced by paramRef`},
	} {
		t.Run(c.what, func(t *testing.T) {
			authz := &reader{}
			p := &Validating{Config: Config{Get: policies{}, Authorizer: authz, Kinds: table.ByKind}}
			kind := "ValidatingAdmissionPolicy"
			if _, ok := c.next.(*admissionv1.ValidatingAdmissionPolicyBinding); ok {
				kind += "Binding"
			}
			row, _, ok := table.ByKind(admissionv1.SchemeGroupVersion.WithKind(kind))
			require.True(t, ok)
			a := &admission.Attributes{Operation: admission.Create, Row: row, Object: c.next, User: c.user}
			if c.old != nil {
				a.Operation, a.Old = admission.Update, c.old
			}
			err := p.Validate(t.Context(), a)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
			require.Len(t, authz.asked, 1)
			require.Equal(t, "get", authz.asked[0].Verb)
		})
	}
}
