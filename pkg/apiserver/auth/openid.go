package auth

import (
	"encoding/json"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// The paths by which others learn how to verify service account tokens (OpenID Connect discovery).
const (
	OpenIDConfigPath = "/.well-known/openid-configuration"
	JWKSPath         = "/openid/v1/jwks"
)

// ServeOpenIDConfig serves the OpenID provider's configuration.
func (t *Tokens) ServeOpenIDConfig(w http.ResponseWriter, _ *http.Request) {
	serveKeys(w, "application/json", map[string]any{
		"issuer":                                t.issuer,
		"jwks_uri":                              t.issuer + JWKSPath,
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{t.public.Algorithm},
	})
}

// ServeJWKS serves the public key.
func (t *Tokens) ServeJWKS(w http.ResponseWriter, _ *http.Request) {
	serveKeys(w, "application/jwk-set+json", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{t.public}})
}

func serveKeys(w http.ResponseWriter, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	// A client that hung up is the only way this fails.
	_ = json.NewEncoder(w).Encode(v)
}
