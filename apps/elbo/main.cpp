#include "elbo/program.h"

int main(int argc, char** argv) { return elbo::run_program(argc, argv); }
