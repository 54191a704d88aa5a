package fairness

import (
	"fmt"
	"strconv"

	"bonsai/pkg/resource"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The objects that a cluster has from the beginning: the mandatory ones, whose specs nobody may change, and suggested ones, which
// are kept as they were meant until somebody takes them over with the annotation apf.kubernetes.io/autoupdate-spec: "false".

// Suggested returns the suggested priority levels and flow schemas.
func Suggested() ([]*flowcontrolv1.PriorityLevelConfiguration, []*flowcontrolv1.FlowSchema) {
	levels := []*flowcontrolv1.PriorityLevelConfiguration{
		queued("system", 30, 33, 64, 6),    // what keeps running pods running: kubelets, proxies
		queued("node-high", 40, 25, 64, 6), // that nodes are alive, whatever else they have to say
		queued("leader-election", 10, 0, 16, 4),
		queued("workload-high", 40, 50, 128, 6),  // controllers
		queued("workload-low", 100, 90, 128, 6),  // other service accounts
		queued("global-default", 20, 50, 128, 6), // people
	}
	byUser, byNamespace := flowcontrolv1.FlowDistinguisherMethodByUserType, flowcontrolv1.FlowDistinguisherMethodByNamespaceType
	everybody := groups("system:unauthenticated", "system:authenticated")
	leases := resourceRule([]string{"get", "create", "update"}, "coordination.k8s.io", false, "leases")
	nodeLeases := resourceRule([]string{"*"}, "coordination.k8s.io", false, "leases")
	nodes := resourceRule([]string{"*"}, "", true, "nodes", "nodes/status")
	schemas := []*flowcontrolv1.FlowSchema{
		suggest("system-nodes", "system", 500, byUser, everything(groups("system:nodes"))),
		suggest("system-node-high", "node-high", 400, byUser, flowcontrolv1.PolicyRulesWithSubjects{
			Subjects: groups("system:nodes"), ResourceRules: []flowcontrolv1.ResourcePolicyRule{nodes, nodeLeases}}),
		suggest("probes", "exempt", 2, "", flowcontrolv1.PolicyRulesWithSubjects{Subjects: everybody,
			NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{
				Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz", "/readyz", "/livez"}}}}),
		suggest("system-leader-election", "leader-election", 100, byUser, flowcontrolv1.PolicyRulesWithSubjects{
			Subjects:      append(users("system:kube-controller-manager", "system:kube-scheduler"), systemAccounts()...),
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{leases}}),
		suggest("kube-controller-manager", "workload-high", 800, byNamespace, everything(users("system:kube-controller-manager"))),
		suggest("kube-scheduler", "workload-high", 800, byNamespace, everything(users("system:kube-scheduler"))),
		suggest("kube-system-service-accounts", "workload-high", 900, byNamespace, everything(systemAccounts())),
		suggest("service-accounts", "workload-low", 9000, byUser, everything(groups("system:serviceaccounts"))),
		suggest("global-default", "global-default", 9900, byUser, everything(everybody)),
	}
	return levels, schemas
}

// automatic is the metadata of an object that is kept as it was meant.
func automatic(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Annotations: map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: "true"}}
}

func queued(name string, shares, lendable, queues, hand int32) *flowcontrolv1.PriorityLevelConfiguration {
	return &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: automatic(name), Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
		Type: flowcontrolv1.PriorityLevelEnablementLimited,
		Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
			NominalConcurrencyShares: &shares, LendablePercent: &lendable,
			LimitResponse: flowcontrolv1.LimitResponse{
				Type:    flowcontrolv1.LimitResponseTypeQueue,
				Queuing: &flowcontrolv1.QueuingConfiguration{Queues: queues, HandSize: hand, QueueLengthLimit: 50},
			},
		},
	}}
}

func suggest(name, level string, precedence int32, by flowcontrolv1.FlowDistinguisherMethodType,
	rule flowcontrolv1.PolicyRulesWithSubjects) *flowcontrolv1.FlowSchema {
	f := &flowcontrolv1.FlowSchema{ObjectMeta: automatic(name)}
	f.Spec.PriorityLevelConfiguration.Name, f.Spec.MatchingPrecedence = level, precedence
	f.Spec.Rules = []flowcontrolv1.PolicyRulesWithSubjects{rule}
	if by != "" {
		f.Spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: by}
	}
	return f
}

func everything(subjects []flowcontrolv1.Subject) flowcontrolv1.PolicyRulesWithSubjects {
	return flowcontrolv1.PolicyRulesWithSubjects{
		Subjects:      subjects,
		ResourceRules: []flowcontrolv1.ResourcePolicyRule{resourceRule([]string{"*"}, "*", true, "*")},
		NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{
			Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}},
	}
}

func resourceRule(verbs []string, group string, cluster bool, resources ...string) flowcontrolv1.ResourcePolicyRule {
	return flowcontrolv1.ResourcePolicyRule{
		Verbs: verbs, APIGroups: []string{group}, Resources: resources, Namespaces: []string{"*"}, ClusterScope: cluster}
}

func groups(names ...string) (out []flowcontrolv1.Subject) {
	for _, n := range names {
		out = append(out, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: n}})
	}
	return out
}

func users(names ...string) (out []flowcontrolv1.Subject) {
	for _, n := range names {
		out = append(out, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: n}})
	}
	return out
}

// systemAccounts are the service accounts of kube-system.
func systemAccounts() []flowcontrolv1.Subject {
	return []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindServiceAccount,
		ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Name: "*", Namespace: metav1.NamespaceSystem}}}
}

// Action is one thing to be done to the objects, with its reason. Exactly one of the verbs holds.
type Action struct {
	Create, Update, Status, Delete resource.Object
	Reason                         string
}

// Plan says what brings the objects in line: what is missing is made, what follows us is corrected, flow schemas say whether
// their level exists. It is called again after each change.
func Plan(levels []*flowcontrolv1.PriorityLevelConfiguration, schemas []*flowcontrolv1.FlowSchema, now metav1.Time) []Action {
	suggestedLevels, suggestedSchemas := Suggested()
	out := planKind(levels, automated(resource.MandatoryPriorityLevels()), suggestedLevels,
		func(have, want *flowcontrolv1.PriorityLevelConfiguration) bool {
			if have.Spec.Exempt != nil {
				want.Spec.Exempt = have.Spec.Exempt // how much the exempt level counts is for people to say
			}
			changed := !equality.Semantic.DeepEqual(have.Spec, want.Spec)
			have.Spec = want.Spec
			return changed
		})
	out = append(out, planKind(schemas, automated(resource.MandatoryFlowSchemas()), suggestedSchemas,
		func(have, want *flowcontrolv1.FlowSchema) bool {
			changed := !equality.Semantic.DeepEqual(have.Spec, want.Spec)
			have.Spec = want.Spec
			return changed
		})...)
	for _, s := range schemas {
		if next := withDangling(s, levels, now); next != nil {
			out = append(out, Action{Status: next, Reason: "say of flow schema " + s.Name + " whether its priority level exists"})
		}
	}
	return out
}

type configObject[T any] interface {
	resource.Object
	DeepCopy() T
}

// automated are the mandatory objects as they are made: kept up to date.
func automated[T resource.Object](all []T) []T {
	for _, o := range all {
		o.SetAnnotations(map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: "true"})
	}
	return all
}

// planKind makes and corrects the objects of one kind. take gives have the spec of want and tells whether that is a change.
func planKind[T configObject[T]](have, mandatory, suggested []T, take func(have, want T) bool) (out []Action) {
	known := map[string]T{}
	for _, o := range have {
		known[o.GetName()] = o
	}
	wanted := map[string]bool{}
	for i, want := range append(append([]T{}, mandatory...), suggested...) {
		wanted[want.GetName()] = true
		cur, ok := known[want.GetName()]
		must := i < len(mandatory)
		if !ok {
			out = append(out, Action{Create: want, Reason: fmt.Sprintf("%s is missing", want.GetName())})
			continue
		}
		next := cur.DeepCopy()
		change := (must || follows(cur)) && take(next, want)
		if note := annotate(next, must || follows(cur)); change || note {
			out = append(out, Action{Update: next, Reason: fmt.Sprintf("%s is not as it was meant", want.GetName())})
		}
	}
	for _, cur := range have {
		if !wanted[cur.GetName()] && cur.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey] == "true" {
			out = append(out, Action{Delete: cur, Reason: cur.GetName() + " was suggested by another version"})
		}
	}
	return out
}

// follows tells whether an object is kept up to date: its annotation says so or, without one, whether nobody has touched it.
func follows(o resource.Object) bool {
	text, ok := o.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey]
	if yes, err := strconv.ParseBool(text); ok && err == nil {
		return yes
	}
	return o.GetGeneration() == 1
}

// annotate writes down whether o follows, and tells whether that was to be done.
func annotate(o resource.Object, follow bool) bool {
	text := strconv.FormatBool(follow)
	notes := o.GetAnnotations()
	if notes[flowcontrolv1.AutoUpdateAnnotationKey] == text {
		return false
	}
	next := map[string]string{}
	for k, v := range notes {
		next[k] = v
	}
	next[flowcontrolv1.AutoUpdateAnnotationKey] = text
	o.SetAnnotations(next)
	return true
}

// withDangling returns s with the condition Dangling as it should be; nil if it is.
func withDangling(s *flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration, now metav1.Time) *flowcontrolv1.FlowSchema {
	name := s.Spec.PriorityLevelConfiguration.Name
	want := flowcontrolv1.FlowSchemaCondition{
		Type: flowcontrolv1.FlowSchemaConditionDangling, Status: flowcontrolv1.ConditionTrue, Reason: "NotFound", LastTransitionTime: now,
		Message: fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q but there is no such object", name),
	}
	for _, l := range levels {
		if l.Name == name {
			want.Status, want.Reason = flowcontrolv1.ConditionFalse, "Found"
			want.Message = fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists", name)
		}
	}
	next := s.DeepCopy()
	for i := range next.Status.Conditions {
		c := &next.Status.Conditions[i]
		if c.Type != want.Type {
			continue
		}
		if c.Status == want.Status && c.Reason == want.Reason && c.Message == want.Message {
			return nil
		}
		*c = want
		return next
	}
	next.Status.Conditions = append(next.Status.Conditions, want)
	return next
}
