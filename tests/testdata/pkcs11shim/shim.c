/*
 * A PKCS#11 module that forwards to another one and fails on purpose.
 *
 * SHIM_TARGET  the module that does the work
 * SHIM_FAULT   FUNCTION:N:FAULT, the N-th call of FUNCTION in a process ends
 *              with FAULT: a return value in hexadecimal, "hang", "crash" or,
 *              for functions that give data, "garbage"
 * SHIM_ONCE    a file: the fault happens only while it exists, and removes it
 * SHIM_LOG     a file that gets the name of each function that is called
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CK_PTR *
#define NULL_PTR 0
#define CK_DEFINE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION_POINTER(type, name) type (*name)
#define CK_CALLBACK_FUNCTION(type, name) type (*name)
#include "pkcs11.h"

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST ours;
static int calls;
static int garbage; /* the data of this call is to be spoilt */

static void note(const char *function)
{
	const char *path = getenv("SHIM_LOG");
	if (path == NULL)
		return;
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd < 0)
		return;
	char line[64];
	int n = snprintf(line, sizeof line, "%s\n", function);
	if (write(fd, line, n) != n)
		abort();
	close(fd);
}

/* fault returns what a call is to return, or CKR_OK to let it go on. */
static CK_RV fault(const char *function)
{
	note(function);
	const char *wanted = getenv("SHIM_FAULT");
	char name[64], what[32];
	int nth;
	garbage = 0;
	if (wanted == NULL || sscanf(wanted, "%63[^:]:%d:%31s", name, &nth, what) != 3 || strcmp(name, function) != 0)
		return CKR_OK;
	if (++calls != nth)
		return CKR_OK;
	const char *once = getenv("SHIM_ONCE");
	if (once != NULL && unlink(once) != 0)
		return CKR_OK;
	if (strcmp(what, "hang") == 0)
		for (;;)
			pause();
	if (strcmp(what, "crash") == 0)
		raise(SIGSEGV);
	if (strcmp(what, "garbage") == 0) {
		garbage = 1;
		return CKR_OK;
	}
	return strtoul(what, NULL, 16);
}

#define FORWARD(function, parameters, arguments)        \
	static CK_RV shim_##function parameters         \
	{                                               \
		CK_RV rv = fault(#function);            \
		if (rv != CKR_OK)                       \
			return rv;                      \
		return real->function arguments;        \
	}

/* GIVING is FORWARD for a function that gives data in out and length. */
#define GIVING(function, parameters, arguments)         \
	static CK_RV shim_##function parameters         \
	{                                               \
		CK_RV rv = fault(#function);            \
		if (rv != CKR_OK)                       \
			return rv;                      \
		int spoil = garbage;                    \
		rv = real->function arguments;          \
		if (spoil && out != NULL)               \
			memset(out, 0x5a, *length);     \
		return rv;                              \
	}

FORWARD(C_Initialize, (CK_VOID_PTR a), (a))
FORWARD(C_Finalize, (CK_VOID_PTR a), (a))
FORWARD(C_GetInfo, (CK_INFO_PTR a), (a))
FORWARD(C_GetSlotList, (CK_BBOOL a, CK_SLOT_ID_PTR b, CK_ULONG_PTR c), (a, b, c))
FORWARD(C_GetSlotInfo, (CK_SLOT_ID a, CK_SLOT_INFO_PTR b), (a, b))
FORWARD(C_GetTokenInfo, (CK_SLOT_ID a, CK_TOKEN_INFO_PTR b), (a, b))
FORWARD(C_GetMechanismList, (CK_SLOT_ID a, CK_MECHANISM_TYPE_PTR b, CK_ULONG_PTR c), (a, b, c))
FORWARD(C_OpenSession, (CK_SLOT_ID a, CK_FLAGS b, CK_VOID_PTR c, CK_NOTIFY d, CK_SESSION_HANDLE_PTR e), (a, b, c, d, e))
FORWARD(C_Login, (CK_SESSION_HANDLE a, CK_USER_TYPE b, CK_UTF8CHAR_PTR c, CK_ULONG d), (a, b, c, d))
FORWARD(C_FindObjectsInit, (CK_SESSION_HANDLE a, CK_ATTRIBUTE_PTR b, CK_ULONG c), (a, b, c))
FORWARD(C_FindObjects, (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE_PTR b, CK_ULONG c, CK_ULONG_PTR d), (a, b, c, d))
FORWARD(C_FindObjectsFinal, (CK_SESSION_HANDLE a), (a))
FORWARD(C_GetAttributeValue, (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE b, CK_ATTRIBUTE_PTR c, CK_ULONG d), (a, b, c, d))
FORWARD(C_CreateObject, (CK_SESSION_HANDLE a, CK_ATTRIBUTE_PTR b, CK_ULONG c, CK_OBJECT_HANDLE_PTR d), (a, b, c, d))
FORWARD(C_DestroyObject, (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE b), (a, b))
FORWARD(C_EncryptInit, (CK_SESSION_HANDLE a, CK_MECHANISM_PTR b, CK_OBJECT_HANDLE c), (a, b, c))
FORWARD(C_DecryptInit, (CK_SESSION_HANDLE a, CK_MECHANISM_PTR b, CK_OBJECT_HANDLE c), (a, b, c))
FORWARD(C_SignInit, (CK_SESSION_HANDLE a, CK_MECHANISM_PTR b, CK_OBJECT_HANDLE c), (a, b, c))
FORWARD(C_UnwrapKey, (CK_SESSION_HANDLE a, CK_MECHANISM_PTR b, CK_OBJECT_HANDLE c, CK_BYTE_PTR d, CK_ULONG e, CK_ATTRIBUTE_PTR f, CK_ULONG g, CK_OBJECT_HANDLE_PTR h), (a, b, c, d, e, f, g, h))
FORWARD(C_GenerateKey, (CK_SESSION_HANDLE a, CK_MECHANISM_PTR b, CK_ATTRIBUTE_PTR c, CK_ULONG d, CK_OBJECT_HANDLE_PTR e), (a, b, c, d, e))
FORWARD(C_GenerateKeyPair, (CK_SESSION_HANDLE a, CK_MECHANISM_PTR b, CK_ATTRIBUTE_PTR c, CK_ULONG d, CK_ATTRIBUTE_PTR e, CK_ULONG f, CK_OBJECT_HANDLE_PTR g, CK_OBJECT_HANDLE_PTR h), (a, b, c, d, e, f, g, h))
GIVING(C_Encrypt, (CK_SESSION_HANDLE a, CK_BYTE_PTR b, CK_ULONG c, CK_BYTE_PTR out, CK_ULONG_PTR length), (a, b, c, out, length))
GIVING(C_Decrypt, (CK_SESSION_HANDLE a, CK_BYTE_PTR b, CK_ULONG c, CK_BYTE_PTR out, CK_ULONG_PTR length), (a, b, c, out, length))
GIVING(C_Sign, (CK_SESSION_HANDLE a, CK_BYTE_PTR b, CK_ULONG c, CK_BYTE_PTR out, CK_ULONG_PTR length), (a, b, c, out, length))
GIVING(C_WrapKey, (CK_SESSION_HANDLE a, CK_MECHANISM_PTR b, CK_OBJECT_HANDLE c, CK_OBJECT_HANDLE d, CK_BYTE_PTR out, CK_ULONG_PTR length), (a, b, c, d, out, length))

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	if (real == NULL) {
		const char *path = getenv("SHIM_TARGET");
		void *module = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
		CK_C_GetFunctionList get = module == NULL ? NULL : (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
		if (get == NULL || get(&real) != CKR_OK)
			return CKR_GENERAL_ERROR;
		ours = *real;
#define OURS(function) ours.function = shim_##function
		OURS(C_Initialize); OURS(C_Finalize); OURS(C_GetInfo); OURS(C_GetSlotList); OURS(C_GetSlotInfo);
		OURS(C_GetTokenInfo); OURS(C_GetMechanismList); OURS(C_OpenSession); OURS(C_Login);
		OURS(C_FindObjectsInit); OURS(C_FindObjects); OURS(C_FindObjectsFinal); OURS(C_GetAttributeValue);
		OURS(C_CreateObject); OURS(C_DestroyObject); OURS(C_EncryptInit); OURS(C_DecryptInit); OURS(C_SignInit);
		OURS(C_UnwrapKey); OURS(C_GenerateKey); OURS(C_GenerateKeyPair); OURS(C_Encrypt); OURS(C_Decrypt);
		OURS(C_Sign); OURS(C_WrapKey);
	}
	*list = &ours;
	return CKR_OK;
}
