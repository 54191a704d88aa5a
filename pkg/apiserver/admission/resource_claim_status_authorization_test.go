package admission

import (
	"context"
	"slices"
	"strings"
	"testing"

	"bonsai/pkg/apiserver/auth"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
)

// rights allow what is in them, written "VERB RESOURCE/SUBRESOURCE NAMESPACE NAME", with "*" for a namespace or a name that may be any.
type rights []string

func (rs rights) Authorize(_ context.Context, r auth.Request) (auth.Decision, string, error) {
	what := r.Resource
	if r.Subresource != "" {
		what += "/" + r.Subresource
	}
	for _, right := range rs {
		f := strings.Split(right, " ")
		if f[0] == r.Verb && f[1] == what && (f[2] == "*" || f[2] == r.Namespace) && (f[3] == "*" || f[3] == r.Name) {
			return auth.Allow, "", nil
		}
	}
	return auth.NoOpinion, "", nil
}

// Each case changes the status of a claim that is allocated on node oak, of which drivers a and b tell a device each.
func TestResourceClaimStatusAuthorization(t *testing.T) {
	device := func(driver, note string) resourcev1.AllocatedDeviceStatus {
		d := resourcev1.AllocatedDeviceStatus{Driver: driver, Pool: "p", Device: "d"}
		if note != "" {
			d.NetworkData = &resourcev1.NetworkDeviceData{InterfaceName: note}
		}
		return d
	}
	onNode := func(fields ...corev1.NodeSelectorRequirement) *resourcev1.AllocationResult {
		return &resourcev1.AllocationResult{NodeSelector: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: fields}}}}
	}
	oak := corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"oak"}}
	type status = resourcev1.ResourceClaimStatus
	tell := func(devices ...resourcev1.AllocatedDeviceStatus) func(*status) {
		return func(s *status) { s.Devices = devices }
	}
	account, driver := "system:serviceaccount:shop:driver", "resourceclaims/driver"
	reserve := func(s *status) { s.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Name: "web"}} }
	const bind = `changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="update" permission: ` +
		`resourceclaims.resource.k8s.io is forbidden: User "u" cannot update resource "resourceclaims/binding" in API group "resource.k8s.io" at the cluster scope`
	speak := func(user, verbs, first, driver string) string {
		return `status.devices: Forbidden: changing status.devices requires resource="resourceclaims/driver", verb="[` + verbs + `]" permission: resourceclaims.resource.k8s.io "` + driver +
			`" is forbidden: User "` + user + `" cannot ` + first + ` resource "resourceclaims/driver" in API group "resource.k8s.io" in the namespace "shop"`
	}
	for name, tc := range map[string]struct {
		user, node string
		rights     rights
		change     func(*status)
		want       []string
	}{
		"nothing":                           {"u", "", nil, func(*status) {}, nil},
		"reserves":                          {"u", "", nil, reserve, []string{"status.allocation: Forbidden: " + bind}},
		"reserves, and may here":            {"u", "", rights{"update resourceclaims/binding shop *"}, reserve, []string{"status.allocation: Forbidden: " + bind}},
		"reserves, and may":                 {"u", "", rights{"update resourceclaims/binding  "}, reserve, nil},
		"moves":                             {"u", "", nil, func(s *status) { s.Allocation = onNode() }, []string{"status.allocation: Forbidden: " + bind}},
		"frees, and devices are not asked":  {"u", "", nil, func(s *status) { s.Allocation, s.Devices = nil, nil }, []string{"status.allocation: Forbidden: " + bind}},
		"tells of a":                        {"u", "", nil, tell(device("a", "x"), device("b", "")), []string{speak("u", "arbitrary-node:update", "arbitrary-node:update", "a")}},
		"tells of both":                     {"u", "", nil, tell(), []string{speak("u", "arbitrary-node:update", "arbitrary-node:update", "a"), speak("u", "arbitrary-node:update", "arbitrary-node:update", "b")}},
		"tells of a, and may":               {"u", "", rights{"arbitrary-node:update " + driver + " shop a"}, tell(device("a", "x"), device("b", "")), nil},
		"tells of a twice":                  {"u", "", rights{"arbitrary-node:update " + driver + " shop b"}, tell(device("a", ""), device("a", ""), device("b", "")), []string{speak("u", "arbitrary-node:update", "arbitrary-node:update", "a")}},
		"is on the node":                    {account, "oak", rights{"associated-node:update " + driver + " * a"}, tell(device("a", "x"), device("b", "")), nil},
		"is on the node, may on all":        {account, "oak", rights{"arbitrary-node:update " + driver + " * a"}, tell(device("a", "x"), device("b", "")), nil},
		"is on the node, for another":       {account, "oak", rights{"associated-node:update " + driver + " * a"}, tell(device("a", ""), device("b", "x")), []string{speak(account, "associated-node:update arbitrary-node:update", "associated-node:update", "b")}},
		"is elsewhere":                      {account, "elm", rights{"associated-node:update " + driver + " * a"}, tell(device("a", "x"), device("b", "")), []string{speak(account, "arbitrary-node:update", "arbitrary-node:update", "a")}},
		"says it is on the node, but is no": {"u", "oak", rights{"associated-node:update " + driver + " * a"}, tell(device("a", "x"), device("b", "")), []string{speak("u", "arbitrary-node:update", "arbitrary-node:update", "a")}},
	} {
		t.Run(name, func(t *testing.T) {
			old := &resourcev1.ResourceClaim{ObjectMeta: named("shop", "gpu"), Status: status{Allocation: onNode(oak), Devices: []resourcev1.AllocatedDeviceStatus{device("a", ""), device("b", "")}}}
			next := old.DeepCopy()
			tc.change(&next.Status)
			a := request(Update, "resourceclaims.resource.k8s.io/status", next, old)
			a.Verb, a.User = "update", auth.User{Name: tc.user, Extra: map[string][]string{auth.NodeNameExtra: {tc.node}}}
			var got []string
			for _, e := range Default(Deps{Get: cluster(), Authorizer: tc.rights}).Finders().Find(context.Background(), a) {
				got = append(got, e.Error())
			}
			require.Equal(t, tc.want, got)
		})
	}
	for _, al := range []*resourcev1.AllocationResult{nil, {}, onNode(), onNode(oak, oak), onNode(corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"oak", "elm"}})} {
		require.Empty(t, allocatedNode(al))
	}
	require.Equal(t, "oak", allocatedNode(onNode(oak)))
}

func TestDeviceAdminAccess(t *testing.T) {
	g, yes := cluster(), true
	g["namespaces//trusted"] = &corev1.Namespace{ObjectMeta: named("", "trusted")}
	g["namespaces//trusted"].SetLabels(map[string]string{resourcev1.DRAAdminNamespaceLabelKey: "true"})
	asks := resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{}, {Exactly: &resourcev1.ExactDeviceRequest{AdminAccess: &yes}}}}
	claim := func(namespace string, given bool) *resourcev1.ResourceClaim {
		c := &resourcev1.ResourceClaim{ObjectMeta: named(namespace, "gpu"), Spec: resourcev1.ResourceClaimSpec{Devices: asks}}
		c.Status.Allocation = &resourcev1.AllocationResult{}
		c.Status.Allocation.Devices.Results = []resourcev1.DeviceRequestAllocationResult{{AdminAccess: &given}}
		return c
	}
	template := &resourcev1.ResourceClaimTemplate{ObjectMeta: named("shop", "gpu"), Spec: resourcev1.ResourceClaimTemplateSpec{Spec: resourcev1.ResourceClaimSpec{Devices: asks}}}
	const refusal = "Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"
	for name, tc := range map[string]struct {
		a    *Attributes
		want string
	}{
		"claim":                 {request(Create, "resourceclaims.resource.k8s.io", claim("shop", false), nil), "spec.devices.requests[1].adminAccess: " + refusal},
		"claim, trusted":        {request(Create, "resourceclaims.resource.k8s.io", claim("trusted", false), nil), ""},
		"claim, nowhere":        {request(Create, "resourceclaims.resource.k8s.io", claim("nowhere", false), nil), `spec.devices.requests[1].adminAccess: Internal error: could not retrieve namespace to verify admin access: namespaces "nowhere" not found`},
		"claim, as it was":      {request(Update, "resourceclaims.resource.k8s.io", claim("shop", false), claim("shop", false)), ""},
		"template":              {request(Create, "resourceclaimtemplates.resource.k8s.io", template, nil), "spec.devices.requests[1].adminAccess: " + refusal},
		"allocation":            {request(Update, "resourceclaims.resource.k8s.io/status", claim("shop", true), claim("shop", false)), "status.allocation.devices.results[0].adminAccess: " + refusal},
		"allocation, as it was": {request(Update, "resourceclaims.resource.k8s.io/status", claim("shop", true), claim("shop", true)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			errs := Finders(slices.DeleteFunc(chain(g, nil).Finders(), func(f Finder) bool { _, ok := f.(DeviceAdminAccess); return !ok })).Find(context.Background(), tc.a)
			check(t, tc.want, errs.ToAggregate())
		})
	}
}
