package admission

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	podsecurity "k8s.io/pod-security-admission/admission"
	podsecurityconfig "k8s.io/pod-security-admission/admission/api"
	podsecurityapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// PodSecurity holds pods to the Pod Security Standard that their namespace names in its labels: what is enforced refuses pods, what is
// warned of comes back with pods and with the workloads that would make them. A namespace whose level is raised is answered with
// warnings about the pods that are in it already. The judgement is that of k8s.io/pod-security-admission; this is its place.
type PodSecurity struct {
	get    Getter
	judge  *podsecurity.Admission
	counts *podSecurityCounts
	// lenient says that namespaces which say nothing allow everything to everybody: nothing is to be judged there.
	lenient bool
}

// nobodyIsHeld is what holds if nothing is configured.
var nobodyIsHeld = podsecurityconfig.PodSecurityDefaults{
	Enforce: "privileged", EnforceVersion: "latest", Audit: "privileged", AuditVersion: "latest", Warn: "privileged", WarnVersion: "latest"}

func newPodSecurity(d Deps) PodSecurity {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err) // the checks are the library's own
	}
	config, counts := d.Config.PodSecurity, newPodSecurityCounts(d.Counts)
	if config == nil {
		config = &podsecurityconfig.PodSecurityConfiguration{Defaults: nobodyIsHeld}
	}
	e := config.Exemptions
	judge := &podsecurity.Admission{
		Configuration:   config,
		Evaluator:       evaluator,
		Metrics:         counts,
		NamespaceGetter: namespaces{d.Get},
		PodLister:       podsOf{d.Get},
	}
	if err := judge.CompleteConfiguration(); err != nil {
		panic(err) // as above
	}
	return PodSecurity{d.Get, judge, counts, config.Defaults == nobodyIsHeld && len(e.Usernames)+len(e.Namespaces)+len(e.RuntimeClasses) == 0}
}

// Name is upstream's.
func (PodSecurity) Name() string { return "PodSecurity" }

// Admit does nothing.
func (PodSecurity) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses and warns.
func (p PodSecurity) Validate(ctx context.Context, a *Attributes) error {
	r := a.resource()
	if a.Operation != Create && a.Operation != Update || r != namespaceResource && !p.judge.PodSpecExtractor.HasPodSpec(r) {
		return nil
	}
	if r != namespaceResource && p.lenient {
		// Most namespaces say nothing. The library would find that out too, but not for next to nothing.
		ns, err := get[*corev1.Namespace](ctx, p.get, namespaceResource, "", a.Namespace)
		if err == nil && ns != nil && !speaksOfSecurity(ns.Labels) {
			if _, isPod := a.Object.(*corev1.Pod); isPod && a.Subresource != "status" {
				p.counts.plain(a.Operation)
				a.Annotate(podsecurityapi.AuditAnnotationPrefix+podsecurityapi.EnforcedPolicyAnnotationKey, "privileged:latest")
			}
			return nil
		}
	}
	verdict := p.judge.Validate(ctx, &podsecurityapi.AttributesRecord{
		Name: a.Name, Namespace: a.Namespace, Kind: a.Row.GVK(), Resource: a.Row.StorageVersion().WithResource(a.Row.Resource),
		Subresource: a.Subresource, Operation: admissionv1.Operation(a.Operation), Object: a.Object, OldObject: a.Old, Username: a.User.Name,
	})
	for _, w := range verdict.Warnings {
		a.Warn(w)
	}
	for key, value := range verdict.AuditAnnotations {
		a.Annotate(podsecurityapi.AuditAnnotationPrefix+key, value)
	}
	if verdict.Allowed {
		return nil
	}
	return refusal(a, verdict.Result)
}

var namespaceResource = schema.GroupResource{Resource: "namespaces"}

// speaksOfSecurity tells whether a namespace has any of the labels.
func speaksOfSecurity(labels map[string]string) bool {
	for _, label := range []string{podsecurityapi.EnforceLevelLabel, podsecurityapi.AuditLevelLabel, podsecurityapi.WarnLevelLabel,
		podsecurityapi.EnforceVersionLabel, podsecurityapi.AuditVersionLabel, podsecurityapi.WarnVersionLabel} {
		if _, ok := labels[label]; ok {
			return true
		}
	}
	return false
}

// refusal is a 403 that says what s says.
func refusal(a *Attributes, s *metav1.Status) error {
	err := a.forbidden("Not allowed by PodSecurity")
	if s == nil {
		return err
	}
	if s.Message != "" {
		err.ErrStatus.Message = s.Message
	}
	if s.Reason != "" {
		err.ErrStatus.Reason = s.Reason
	}
	if s.Details != nil {
		err.ErrStatus.Details = s.Details
	}
	if s.Code != 0 {
		err.ErrStatus.Code = s.Code
	}
	return err
}

// namespaces and podsOf are what the library reads the cluster by.
type namespaces struct{ get Getter }

// GetNamespace returns a namespace.
func (n namespaces) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return get[*corev1.Namespace](ctx, n.get, namespaceResource, "", name)
}

type podsOf struct{ get Getter }

// ListPods returns the pods of a namespace, in a slice that the caller may sort.
func (p podsOf) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return listed[*corev1.Pod](ctx, p.get, schema.GroupResource{Resource: "pods"}, namespace)
}
