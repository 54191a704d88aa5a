package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"bonsai/pkg/apiserver/auth"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// claims are what a token says, each as JSON.
type claims map[string]json.RawMessage

// read reads the claim of that name into v.
func (c claims) read(name string, v any) error {
	raw, ok := c[name]
	if !ok {
		return errors.New("claim not present")
	}
	return json.Unmarshal(raw, v)
}

// inCEL is c as CEL sees it.
func (c claims) inCEL() (traits.Mapper, error) {
	all := make(map[string]any, len(c))
	for name, raw := range c {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("oidc: parse claims: %w", err)
		}
		all[name] = v
	}
	return mapper(all)
}

func mapper(m map[string]any) (traits.Mapper, error) {
	v, ok := types.DefaultTypeAdapter.NativeToValue(m).(traits.Mapper)
	if !ok {
		return nil, errors.New("oidc: claims are no map")
	}
	return v, nil
}

// names is a claim that is one string or a list of them.
type names []string

// UnmarshalJSON reads both forms.
func (n *names) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*[]string)(n)) == nil {
		return nil
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*n = names{one}
	return nil
}

// user maps claims to a user, and asks all rules about both.
func (i *Issuer) user(ctx context.Context, c claims) (*auth.User, error) {
	cel, err := c.inCEL()
	if err != nil {
		return nil, err
	}
	u := &auth.User{}
	if u.Name, err = i.name(ctx, c, cel); err != nil {
		return nil, err
	}
	if u.Groups, err = i.groups(ctx, c, cel); err != nil {
		return nil, err
	}
	if u.UID, err = i.uid(ctx, c, cel); err != nil {
		return nil, err
	}
	if u.Extra, err = i.extra(ctx, c, cel); err != nil {
		return nil, err
	}
	if err := i.required(c); err != nil {
		return nil, err
	}
	if i.mapper.ClaimValidationRules != nil {
		results, err := i.mapper.ClaimValidationRules.EvalClaimMappings(ctx, cel)
		if err = allTrue(results, err); err != nil {
			return nil, fmt.Errorf("oidc: error evaluating claim validation expression: %w", err)
		}
	}
	return u, i.judge(ctx, u)
}

func (i *Issuer) name(ctx context.Context, c claims, cel traits.Mapper) (string, error) {
	m := i.spec.ClaimMappings.Username
	if i.mapper.Username != nil {
		name, err := evalString(ctx, i.mapper.Username, cel, "username")
		if err == nil && name == "" {
			err = errors.New("oidc: empty username via CEL expression is not allowed")
		}
		return name, err
	}
	var name string
	if err := c.read(m.Claim, &name); err != nil {
		return "", fmt.Errorf("oidc: parse username claims %q: %w", m.Claim, err)
	}
	if _, said := c["email_verified"]; m.Claim == "email" && said {
		var verified bool
		if err := c.read("email_verified", &verified); err != nil {
			return "", fmt.Errorf("oidc: parse 'email_verified' claim: %w", err)
		}
		if !verified {
			return "", errors.New("oidc: email not verified")
		}
	}
	if m.Prefix != nil {
		name = *m.Prefix + name
	}
	return name, nil
}

func (i *Issuer) groups(ctx context.Context, c claims, cel traits.Mapper) ([]string, error) {
	m := i.spec.ClaimMappings.Groups
	if _, said := c[m.Claim]; m.Claim != "" && said {
		var groups names
		if err := c.read(m.Claim, &groups); err != nil {
			return nil, fmt.Errorf("oidc: parse groups claim %q: %w", m.Claim, err)
		}
		for n := range groups {
			if m.Prefix != nil {
				groups[n] = *m.Prefix + groups[n]
			}
		}
		return groups, nil
	}
	if i.mapper.Groups == nil {
		return nil, nil
	}
	result, err := i.mapper.Groups.EvalClaimMapping(ctx, cel)
	if err != nil {
		return nil, fmt.Errorf("oidc: error evaluating group claim expression: %w", err)
	}
	groups, err := stringsOf(result.EvalResult)
	if err != nil {
		return nil, fmt.Errorf("oidc: error evaluating group claim expression: %w", err)
	}
	return groups, nil
}

func (i *Issuer) uid(ctx context.Context, c claims, cel traits.Mapper) (string, error) {
	if claim := i.spec.ClaimMappings.UID.Claim; claim != "" {
		var uid string
		if err := c.read(claim, &uid); err != nil {
			return "", fmt.Errorf("oidc: parse uid claim %q: %w", claim, err)
		}
		return uid, nil
	}
	if i.mapper.UID == nil {
		return "", nil
	}
	return evalString(ctx, i.mapper.UID, cel, "uid")
}

func (i *Issuer) extra(ctx context.Context, c claims, cel traits.Mapper) (map[string][]string, error) {
	var extra map[string][]string
	put := func(key string, values []string) {
		if extra == nil {
			extra = map[string][]string{}
		}
		extra[key] = values
	}
	var jti string
	if c.read("jti", &jti) == nil && jti != "" {
		put(auth.CredentialID, []string{"JTI=" + jti})
	}
	if i.mapper.Extra == nil {
		return extra, nil
	}
	results, err := i.mapper.Extra.EvalClaimMappings(ctx, cel)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		m := r.ExpressionAccessor.(*authenticationcel.ExtraMappingExpression)
		values, err := stringsOf(r.EvalResult)
		if err != nil {
			return nil, fmt.Errorf("oidc: error evaluating extra claim expression: %s: %w", m.Expression, err)
		}
		if len(values) > 0 {
			put(m.Key, values)
		}
	}
	return extra, nil
}

// required checks the claims that must have one value.
func (i *Issuer) required(c claims) error {
	for _, rule := range i.spec.ClaimValidationRules {
		if rule.Claim == "" {
			continue
		}
		if _, said := c[rule.Claim]; !said {
			return fmt.Errorf("oidc: required claim %s not present in ID token", rule.Claim)
		}
		var got string
		if err := c.read(rule.Claim, &got); err != nil {
			return fmt.Errorf("oidc: parse claim %s: %w", rule.Claim, err)
		}
		if got != rule.RequiredValue {
			return fmt.Errorf("oidc: required claim %s value does not match. Got = %s, want = %s", rule.Claim, got, rule.RequiredValue)
		}
	}
	return nil
}

// judge asks the rules about the user.
func (i *Issuer) judge(ctx context.Context, u *auth.User) error {
	if i.mapper.UserValidationRules == nil {
		return nil
	}
	extra := map[string]any{}
	for k, v := range u.Extra {
		extra[k] = v
	}
	user, err := mapper(map[string]any{"username": u.Name, "uid": u.UID, "groups": u.Groups, "extra": extra})
	if err != nil {
		return err
	}
	results, err := i.mapper.UserValidationRules.EvalUser(ctx, user)
	if err = allTrue(results, err); err != nil {
		return fmt.Errorf("oidc: error evaluating user info validation rule: %w", err)
	}
	return nil
}

// allTrue says which of the rules does not hold.
func allTrue(results []authenticationcel.EvaluationResult, err error) error {
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.EvalResult.Value() == true {
			continue
		}
		var message string
		switch rule := r.ExpressionAccessor.(type) {
		case *authenticationcel.ClaimValidationCondition:
			message = rule.Message
		case *authenticationcel.UserValidationCondition:
			message = rule.Message
		}
		return fmt.Errorf("validation expression '%s' failed: %s", r.ExpressionAccessor.GetExpression(), message)
	}
	return nil
}

func evalString(ctx context.Context, m authenticationcel.ClaimsMapper, cel traits.Mapper, what string) (string, error) {
	result, err := m.EvalClaimMapping(ctx, cel)
	if err != nil {
		return "", fmt.Errorf("oidc: error evaluating %s claim expression: %w", what, err)
	}
	s, ok := result.EvalResult.Value().(string)
	if !ok {
		return "", fmt.Errorf("oidc: error evaluating %s claim expression: %s claim expression must return a string", what, what)
	}
	return s, nil
}

var errNoStrings = errors.New("expression must return a string or a list of strings")

// stringsOf reads a string or a list of them; empty ones are left out.
func stringsOf(v ref.Val) ([]string, error) {
	list, ok := v.(traits.Lister)
	if !ok {
		if v.Type() == types.NullType {
			return nil, nil
		}
		list = types.NewRefValList(types.DefaultTypeAdapter, []ref.Val{v})
	}
	var out []string
	for it := list.Iterator(); it.HasNext() == types.True; {
		s, ok := it.Next().Value().(string)
		if !ok {
			return nil, errNoStrings
		}
		if s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}
