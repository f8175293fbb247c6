/* The bytes of digits.bin, found through this folder's include path (cmake/Rooms.cmake). */
	.section .rodata
	.global elbo_digits_begin
	.global elbo_digits_end
	.balign 16
elbo_digits_begin:
	.incbin "digits.bin"
elbo_digits_end:
	.section .note.GNU-stack,"",%progbits
