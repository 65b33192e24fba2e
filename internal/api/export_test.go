package api

// Codes are the words of the table of errors, and their statuses.
func Codes() map[string]int {
	all := map[string]int{}
	for _, c := range []code{
		codeInvalid, codeNoToken, codeInvalidToken, codeDenied, codeNotDeclared, codeNotApproved, codeReadOnly,
		codeInsecure, codeNotFound, codeNotSet, codeMethod, codePreconditionFailed, codeTooLarge, codeMediaType,
		codePreconditionRequired, codeRateLimited, codeLockedOut, codeInternal, codeIntegrity, codeNotConfigured,
		codeSealed, codeUnavailable,
	} {
		all[string(c)] = c.status()
	}
	return all
}

// CodeOf is the code of an error.
func CodeOf(err error) string {
	p, _ := explain(err)
	return string(p.code)
}

// ParseJSON is parseJSON.
func ParseJSON(data []byte, v any) error { return parseJSON(data, v) }
