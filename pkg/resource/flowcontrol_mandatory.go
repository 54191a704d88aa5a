package resource

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Two flow schemas and two priority levels are the same in every cluster: administrators are never made to wait (exempt), and who
// matches nothing else still gets an answer (catch-all). The rows hold clients to them, pkg/apiserver/fairness makes them.

// MandatoryFlowSchemas returns the flow schemas that no client may change.
func MandatoryFlowSchemas() []*flowcontrolv1.FlowSchema {
	byUser := &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType}
	return []*flowcontrolv1.FlowSchema{
		mandatorySchema("exempt", 1, nil, "system:masters"),
		mandatorySchema("catch-all", flowcontrolv1.FlowSchemaMaxMatchingPrecedence, byUser, "system:unauthenticated", "system:authenticated"),
	}
}

func mandatorySchema(name string, precedence int32, by *flowcontrolv1.FlowDistinguisherMethod, groups ...string) *flowcontrolv1.FlowSchema {
	rule := flowcontrolv1.PolicyRulesWithSubjects{
		ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
			Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"*"}, ClusterScope: true}},
		NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}},
	}
	for _, g := range groups {
		rule.Subjects = append(rule.Subjects, flowcontrolv1.Subject{
			Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: g}})
	}
	return &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: name},
		MatchingPrecedence:         precedence, DistinguisherMethod: by, Rules: []flowcontrolv1.PolicyRulesWithSubjects{rule},
	}}
}

// MandatoryPriorityLevels returns the priority levels that no client may change.
func MandatoryPriorityLevels() []*flowcontrolv1.PriorityLevelConfiguration {
	none, few := int32(0), int32(5)
	exempt := &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "exempt"}}
	exempt.Spec.Type = flowcontrolv1.PriorityLevelEnablementExempt
	exempt.Spec.Exempt = &flowcontrolv1.ExemptPriorityLevelConfiguration{NominalConcurrencyShares: &none, LendablePercent: &none}
	rest := &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "catch-all"}}
	rest.Spec.Type = flowcontrolv1.PriorityLevelEnablementLimited
	rest.Spec.Limited = &flowcontrolv1.LimitedPriorityLevelConfiguration{
		NominalConcurrencyShares: &few, LendablePercent: &none,
		LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
	}
	return []*flowcontrolv1.PriorityLevelConfiguration{exempt, rest}
}
